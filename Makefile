# The one door. `make demo` and `make test` are all a newcomer needs.
PYTHON ?= python3
VENV := .venv
# Processes of the tests: each keeps the files it begins, so what a module makes is made once.
JOBS ?= 2
BIN := $(VENV)/bin
CORE := $(wildcard csrc/*.c csrc/*.h) edge_runtime/native/build.py
DEBIAN := mosquitto nodejs qemu-user-static qemu-system-arm clang llvm strace valgrind \
  gcc-aarch64-linux-gnu libc6-dev-arm64-cross gcc-arm-linux-gnueabihf libc6-dev-armhf-cross \
  gcc-riscv64-linux-gnu libc6-dev-riscv64-cross gcc-arm-none-eabi libnewlib-arm-none-eabi

.PHONY: demo test check bench docs fuzz mutants clean setup system
.DEFAULT_GOAL := demo

demo: $(VENV)/cloud
	$(BIN)/cloud-trainer demo

test: $(VENV)/dev $(if $(SYSTEM),system)
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile $(ARGS)

check: $(VENV)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/clang-format --dry-run -Werror csrc/*.[ch] csrc/tests/*.[ch]
	$(BIN)/python -m pytest -q tests/docs

# make bench NAME=features prints a table and writes bench/results/features.json; CC=zig: built as the wheels are
bench: $(VENV)/bench
	$(if $(filter command,$(origin CC)),CC="$(CC)") $(BIN)/python -m bench $(NAME)
ifeq ($(origin CC),command line)
# for the core of a benchmark alone
unexport CC
endif

# What is generated from the operator table: docs/operators.md, the README's list, the builder's methods.
docs: $(VENV)/dev
	$(BIN)/python -m tools

# The planted bugs alone: every one of them must make its test fail.
mutants: $(VENV)/dev
	$(BIN)/python -m pytest -q -m planted

# Any bytes into the core, under ASan and UBSan, FUZZ_SECONDS each (default 60); needs clang.
fuzz:
	$(MAKE) -C csrc fuzz

clean:
	rm -rf $(VENV) build dist *.egg-info csrc/out edge_runtime/native/_er.c edge_runtime/native/*.so

setup:
	@$(PYTHON) .ci/needs.py

# pip cannot see that the C core changed, so the stamp depends on it.
$(VENV)/cloud: pyproject.toml setup.py $(CORE) | setup
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q -e '.[cloud]'
	@touch $@

$(VENV)/dev: $(VENV)/cloud
	$(BIN)/python -m pip install -q -e '.[dev]'
	@touch $@

$(VENV)/bench: $(VENV)/dev
	$(BIN)/python -m pip install -q -e '.[bench]'
	@touch $@

system:
	@test "$$(id -u)" = 0 || { echo "error: SYSTEM=1 installs Debian packages and needs root"; \
	  echo "hint: run it as root, or leave SYSTEM=1 away: those tests are then skipped"; exit 2; }
	dpkg -s $(DEBIAN) >/dev/null 2>&1 || { apt-get update -q && \
	  DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $(DEBIAN); }

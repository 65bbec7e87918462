"""`edge-runtime`: the device's command line. One rule: nothing is imported before the command that needs it."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from types import SimpleNamespace as Arguments

from edge_runtime.errors import ContractError, EdgeloopError, UsageError
from edge_runtime.lean import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from pathlib import Path

    from edge_runtime.contract.program import Program


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit status (STYLE: 2 usage, 3 contract, 4 trust, 5 budget, 6 transport)."""
    given = sys.argv[1:] if argv is None else list(argv)
    command, args = given[0] if given else "", None
    if command in COMMANDS:
        args = _plain(command, given[1:])
    if args is None:
        command, args = _parsed(given)
    try:
        return int(COMMANDS[command](args))
    except EdgeloopError as error:
        print(f"error: {error}", file=sys.stderr)
        if error.hint:
            print(f"hint: {error.hint}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader of our output went away, as `| head` does
        sys.stderr.close()
        return 0


def _path(text: str) -> Path:
    from pathlib import Path

    return Path(text)


def _plain(command: str, words: Sequence[str]) -> Arguments | None:
    """The arguments of *command*, where they are plain words and `--name value`; None where argparse has to look.

    argparse says what is wrong and what there is; but it and its gettext take 0.7 MiB of the 4 of a deciding process.
    """
    takes = ARGUMENTS[command][1]
    found: dict[str, Any] = {}
    places, rest = [name for name in takes if not name.startswith("-")], iter(words)
    for word in rest:
        name = word if word.startswith("-") else places.pop(0) if places else ""
        value = next(rest, "-") if word.startswith("-") else word
        if name not in takes or "action" in takes[name] or value.startswith("-"):
            return None
        try:
            found[name] = takes[name].get("type", str)(value)
        except ValueError:
            return None
    if places or any(how.get("required") and name not in found for name, how in takes.items()):
        return None
    given = {name: found.get(name, _default(how)) for name, how in takes.items()}
    return Arguments(**{name.lstrip("-").replace("-", "_"): value for name, value in given.items()})


def _default(how: Mapping[str, Any]) -> Any:
    value = how.get("default", False if "action" in how else None)
    return how["type"](value) if isinstance(value, str) and "type" in how else value


def _parsed(given: Sequence[str]) -> tuple[str, Any]:
    """(command, its arguments), by argparse: it tells help and mistakes, and ends the process."""
    import argparse

    class Parser(argparse.ArgumentParser):
        def error(self, message: str) -> NoReturn:
            self.exit(2, f"error: {message}\nhint: {self.prog} --help\n")

    parser = Parser(prog="edge-runtime", description="Run a bundle on this device: the same bits as in training.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (meaning, arguments) in ARGUMENTS.items():
        one = commands.add_parser(name, help=meaning)
        for flag, options in arguments.items():
            one.add_argument(flag, **options)
    args = parser.parse_args(given)
    return args.command, args


def _run(args: Arguments) -> int:
    from edge_runtime.daemon.config import load_config
    from edge_runtime.daemon.service import Daemon

    return Daemon(load_config(args.config)).run()


def _decide(args: Arguments) -> int:
    from edge_runtime.decide import decide

    def write(lines: bytes) -> None:
        sys.stdout.buffer.write(lines)
        sys.stdout.buffer.flush()

    decide(args.bundle, args.source, write=write, log=lambda line: print(f"# {line}", file=sys.stderr))
    return 0


def _fit(args: Arguments) -> int:
    from edge_runtime.contract.needs import check, table
    from edge_runtime.daemon.budget import needs
    from edge_runtime.daemon.config import load_config
    from edge_runtime.daemon.decide import load
    from edge_runtime.engines import load_bundle

    config = load_config(args.budget)
    loaded = load(load_bundle(args.bundle))
    rows = needs(config, {stream.name: loaded for stream in config.streams})
    check(rows, name=args.bundle.name)
    print(table(rows))
    return 0


def _capture(args: Arguments) -> int:
    from edge_runtime.sources import located, open_source
    from edge_runtime.sources.capture import capture

    if args.seconds <= 0:
        raise UsageError(f"--seconds: {args.seconds:g} is not above 0", hint="name how long to capture")
    spec = args.source
    if args.config is not None:
        from edge_runtime.daemon.config import CAPTURE, broker_options, load_config

        config = load_config(args.config)
        spec = located(spec, folder=config.folder, broker=broker_options(config.device, config.broker, CAPTURE))
    source = open_source(spec, rate_hz=args.rate, channels=args.channels.split(",") if args.channels else None)
    try:
        n_frames = capture(source, args.out, seconds=args.seconds, overwrite=args.overwrite)
    finally:
        source.close()
    print(f"{args.out}: {n_frames} frames of {len(source.channels)} channels at {source.rate_hz:g} Hz")
    return 0


def _export_c(args: Arguments) -> int:
    from edge_runtime.engines import load_bundle
    from edge_runtime.firmware import export_c

    files = export_c(load_bundle(args.bundle), summary=not args.no_summary)
    try:
        args.out.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (args.out / name).write_text(text, encoding="ascii")
    except OSError as why:
        raise UsageError(f"--out {args.out}: {why.strerror}", hint="name a folder that can be written to") from why
    for name, text in files.items():
        print(f"{args.out / name}: {len(text)} bytes")
    print("link them beside the core: make -C csrc lib, from the source distribution")
    return 0


def _show(args: Arguments) -> int:
    from edge_runtime.engines import load_bundle
    from edge_runtime.features import describe
    from edge_runtime.update.inspect import inspect

    if args.file.suffix == ".json":
        print(describe(_program(args.file)))
        return 0
    bundle = load_bundle(args.file)
    inspect(bundle)
    manifest = bundle.manifest
    print(f"bundle    {bundle.digest}")
    print(f"name      {manifest.name} version {manifest.version}, {manifest.engine} {manifest.precision}")
    print(f"{manifest.task:<9} {', '.join(manifest.labels)}")
    print(f"program   {manifest.program_digest}")
    lineage = manifest.lineage
    print(f"dataset   {lineage.dataset} version {lineage.dataset_version} {lineage.dataset_digest}")
    print(f"run       {lineage.run_id}")
    print(f"signed by {', '.join(s.key_id for s in bundle.signatures) or 'nobody'} (keys are checked at install)")
    for member in manifest.members:
        print(f"  {member.length:>9} bytes  {member.name}")
    print(describe(bundle.program()))
    return 0


def _program(path: Path) -> Program:
    from edge_runtime.contract.program import Program

    try:
        return Program.from_bytes(path.read_bytes())
    except OSError as why:
        raise UsageError(f"{path}: {why.strerror}", hint="name a feature program, or a bundle (.elb)") from why


def _selftest(args: Arguments) -> int:
    from edge_runtime.selftest import run

    found = run()
    if args.json:
        print(found.as_json())
    else:
        print(f"cpu       {found.cpu}")
        print(f"digest    {found.digest} ({len(found.shipped)} operators, {len(found.newer)} newer than the list)")
        print(f"window    p50 {found.p50_us:.1f} µs, p99 {found.p99_us:.1f} µs (26 features x 6 channels, 256 frames)")
        print(f"peak RSS  {found.peak_rss_bytes / 1e6:.1f} MB")
    if found.wrong:
        raise ContractError(
            f"selftest: digest {found.digest}, shipped {found.shipped_digest}; other bits in: {', '.join(found.wrong)}",
            hint="decisions here would differ from training: install the wheel, or build with the flags of "
            "csrc/Makefile, without -march=native, -ffast-math or a fused multiply-add",
        )
    return 0


def _operators(_args: Arguments) -> int:
    from edge_runtime.native import operators

    for op in operators():
        print(f"{op.id:>4}  {op.name:<16} unit {op.unit:<6} parameters {op.n_params}")
    return 0


def _version(_args: Arguments) -> int:
    from edge_runtime.daemon.letters import versions

    for name, version in versions().items():
        print(f"{name} {version}")
    return 0


ARGUMENTS: dict[str, tuple[str, dict[str, dict[str, Any]]]] = {
    "run": (
        "run the daemon until its sources end or SIGTERM",
        {
            "--config": {"type": _path, "required": True, "help": "device.toml"},
        },
    ),
    "decide": (
        "print the decisions of a bundle on a source, and do nothing else",
        {
            "bundle": {"help": "bundle file (.elb)"},
            "--source": {"default": "stdin", "help": 'as in device.toml: "playback run.csv" (default: stdin)'},
        },
    ),
    "fit": (
        "print what a device needs for its bundles, without starting",
        {
            "bundle": {"type": _path, "help": "bundle file (.elb)"},
            "--budget": {"type": _path, "required": True, "metavar": "DEVICE_TOML", "help": "the device's budgets"},
        },
    ),
    "capture": (
        "write a source's frames to a CSV file",
        {
            "--source": {"default": "host", "help": 'as in device.toml: "exec ./sensor.sh" (default: host)'},
            "--out": {"type": _path, "required": True, "help": "file to write (.csv.gz)"},
            "--seconds": {"type": float, "default": 10.0, "help": "how long (default: 10)"},
            "--rate": {"type": float, "help": "frames per second (default: what the source knows; host 20)"},
            "--channels": {"metavar": "NAME,NAME", "help": "columns wanted, in this order (default: all)"},
            "--config": {"type": _path, "help": "device.toml whose [broker] and folder the source uses"},
            "--overwrite": {"action": "store_true", "help": "replace a file that exists"},
        },
    ),
    "show": (
        "check every byte of a bundle or program; print it, its state and cost",
        {
            "file": {"type": _path, "help": "bundle (.elb) or feature program (.json)"},
        },
    ),
    "export-c": (
        "write a bundle as one C file and header for a firmware to link",
        {
            "bundle": {"type": _path, "help": "bundle file (.elb) with a native model"},
            "--out": {"type": _path, "default": ".", "help": "folder to write into (default: here)"},
            "--no-summary": {"action": "store_true", "help": "without counts for telemetry: less memory"},
        },
    ),
    "selftest": (
        "check the bits of every operator here, and how fast a window is",
        {
            "--json": {"action": "store_true", "help": "as cloud-trainer profile --selftest reads it"},
        },
    ),
    "operators": ("list the feature operators of this build", {}),
    "version": ("print the versions of this build", {}),
}

COMMANDS = {
    "run": _run,
    "decide": _decide,
    "fit": _fit,
    "capture": _capture,
    "export-c": _export_c,
    "show": _show,
    "selftest": _selftest,
    "operators": _operators,
    "version": _version,
}

if __name__ == "__main__":
    sys.exit(main())

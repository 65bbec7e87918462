"""Planted bugs: each must turn its test red. `python -m tests.export.mutants` plants one after another.

A bug that no test sees is printed and gives exit status 1.
"""

from __future__ import annotations

import sys
from typing import Final

from tests.planting import Mutant, plant

COPIED: Final = ("edge_runtime", "cloud_trainer", "tests", "pyproject.toml")
ENGINE_TESTS: Final = ("tests/engines/test_engines.py", "tests/engines/test_watchdog.py", "tests/engines/onnx")
EXPORT: Final = "cloud_trainer/export/"
ENGINES: Final = "edge_runtime/engines/"
CONTRACT: Final = "edge_runtime/contract/"
PROFILE: Final = "cloud_trainer/profile/"
POLICY: Final = "cloud_trainer/training/policy.py"
MUTANTS: Final[tuple[tuple[str, str, str, str], ...]] = (
    # file, what stands there, the bug, the tests that must see it
    (EXPORT + "trees.py", "return _float_of(low)", "return _float_of(low + 1)", "test_trees"),
    (EXPORT + "trees.py", "if scaler.with_mean else None", "if True else None", "test_trees"),
    (EXPORT + "trees.py", "(z.astype(np.float32) if as_float32 else z)", "z", "test_trees"),
    (EXPORT + "trees.py", "t.missing_go_to_left, value", "t.missing_go_to_left * 0, value", "test_onnx_float"),
    (EXPORT + "trees.py", "seen.setdefault(row.tobytes(), len(seen))", "seen.setdefault(bytes(8), 0)", "test_trees"),
    (EXPORT + "erm_small.py", "place[at] += before[tree.right[at]] - before[at + 1]", "pass", "test_small"),
    (EXPORT + "erm_small.py", "threshold >= distinct[0]", "threshold > distinct[0]", "test_small"),
    (EXPORT + "erm_small.py", "np.packbits(missing_left", "np.packbits(~missing_left", "test_small"),
    (EXPORT + "erm_small.py", "cells.reshape(vectors.shape)", "cells.reshape(vectors.shape)[::-1]", "test_small"),
    (EXPORT + "erm_paired.py", "missing_left[place] = tree", "missing_left[:] = tree", "test_small"),
    (EXPORT + "erm_paired.py", "np.where(leaf, n, tree.feature)", "np.where(leaf, 0, tree.feature)", "test_small"),
    (EXPORT + "erm_paired.py", "order += [one, *near]", "order += [one, *near[::-1]]", "test_small"),
    (EXPORT + "erm_paired.py", "if away.max() > _MAX_AWAY:", "if False:", "test_small"),
    (EXPORT + "layout.py", "SHARE: Final = 2", "SHARE: Final = 1", "test_small"),
    (EXPORT + "forest.py", "if far.max() > _MAX_RIGHT:", "if False:", "test_trees"),
    (EXPORT + "graph.py", "to=DOUBLE)]", "to=FLOAT)]", "test_onnx_float"),
    (EXPORT + "graph.py", '{"": 21, ', '{"": 22, ', "test_onnx_float"),
    (EXPORT + "graph.py", '{"zipmap": False}', '{"zipmap": True}', "test_onnx_float"),
    (EXPORT + "graph.py", '"tensor_type":\n', '"":\n', "test_onnx_float"),
    (EXPORT + "onnx_float.py", '"leaves": table, "count"', '"leaves": table + 1e-9, "count"', "test_onnx_float"),
    (EXPORT + "onnx_int8.py", "if model.activation != ", "if False and model.activation != ", "test_onnx_int8"),
    (
        EXPORT + "onnx_int8.py",
        "np.uint8(np.clip(np.rint(-low / scale)",
        "np.uint8(np.clip(np.rint(low / scale)",
        "test_onnx_int8",
    ),
    (EXPORT + "onnx_int8.py", "if apart < least:", "if best is None:", "test_onnx_int8"),
    (EXPORT + "parity.py", "    if not bad.any():\n", "    if True:\n", "test_parity"),
    (EXPORT + "parity.py", "    if apart.max() > share:\n", "    if False:\n", "test_parity"),
    (EXPORT + "parity.py", "bad &= margin > ROUNDING * rule.unit", "bad &= margin > 1", "test_parity"),
    (EXPORT + "parity.py", "if differ.mean() > INT8_LABELS:", "if False:", "test_parity"),
    (EXPORT + "parity.py", "margin > ROUNDING * rule.unit", "margin > ROUNDING * rule.unit * 99", "test_answers"),
    (EXPORT + "parity.py", "if rule.is_values or form.is_exact:", "if form.is_exact:", "test_answers"),
    (EXPORT + "native_forms/ends.py", 'Unary(function="neg")', 'Unary(function="relu")', "test_answers"),
    (EXPORT + "rows.py", "if not is_values and any(", "if any(", "test_parity"),
    (EXPORT + "trainer.py", "_signed(-np.ravel(", "_signed(np.ravel(", "test_answers"),
    (EXPORT + "exporter.py", '"values" if task_of', '"labels" if task_of', "test_answers"),
    (EXPORT + "runtimes.py", "min(one.version, limits", "max(one.version, limits", "test_runtimes"),
    (EXPORT + "runtimes.py", "min(out.ir_version, newest.ir)", "out.ir_version", "test_runtimes"),
    (EXPORT + "runtimes.py", "        _check(node, imports, runtime)\n", "        pass\n", "test_runtimes"),
    (EXPORT + "models.py", "        if both.broken:\n", "        if False:\n", "test_runtimes"),
    (
        EXPORT + "models.py",
        'if wanted.precision == "int8":\n            name',
        "if False:\n            name",
        "test_runtimes",
    ),
    (EXPORT + "onnx_int8.py", "runtimes.stamped(model, runtime)", "model", "test_runtimes"),
    (
        EXPORT + "onnx_float.py",
        "return steps_model(steps)",
        "return graph.from_skl2onnx(estimator, n_features)",
        "test_traps",
    ),
    (EXPORT + "models.py", "_check_evidence(evidence, forms, rows)", "pass", "test_parity"),
    (
        EXPORT + "trainer.py",
        "[alone(row) for row in rows[:, None]]",
        "[_bundle_answer(estimator)(rows)]",
        "test_parity",
    ),
    (EXPORT + "rows.py", "margins(search(step)) >= clear", "margins(search(step)) >= 0", "test_parity"),
    (EXPORT + "rows.py", "margins(search(x)) <= _TIE", "margins(search(x)) <= 1", "test_parity"),
    (EXPORT + "baseline.py", "    place[values == edges[-1]] = len(edges) - 1\n", "", "test_baseline"),
    (EXPORT + "baseline.py", "(window[b] == window[a] + 1)", "(window[b] > window[a])", "test_baseline"),
    (EXPORT + "exporter.py", "test if len(test) >= ENOUGH else None", "None", "test_exporter"),
    (EXPORT + "exporter.py", "        Path(temporary).unlink(missing_ok=True)\n", "", "test_exporter"),
    (EXPORT + "exporter.py", "    budget.check(needs, ", "    (lambda *_, **__: None)(needs, ", "test_exporter"),
    (EXPORT + "exporter.py", "sign(manifest.to_bytes())", "sign(draft.to_bytes())", "test_exporter"),
    (EXPORT + "decide.py", "or recording[i] != at", "", "test_exporter"),
    (ENGINES + "pipeline.py", "stream.decide(engine.scores(stream.features))", "None", "engines"),
    (ENGINES + "pipeline.py", "bins=bins)", "bins=())", "engines"),
    (ENGINES + "ort.py", "ORT_DISABLE_ALL", "ORT_ENABLE_ALL", "engines"),
    (ENGINES + "onnx/inspect.py", "dims[1] != width", "False", "engines"),
    (ENGINES + "ort.py", "        inspect_model(data, n", "        dict(n", "engines"),
    (ENGINES + "onnx/wire.py", "or not raw[-1]:", ":", "engines"),
    (ENGINES + "onnx/wire.py", "    if name in found:", "    if False:", "engines"),
    (ENGINES + "onnx/model.py", "if math.prod(dims) * width != n_bytes:", "if False:", "engines"),
    (ENGINES + "onnx/extents.py", "extent if j == _MEANT.get(node.op, 0) else (None, extent[1])", "extent", "engines"),
    (ENGINES + "onnx/extents.py", "0 if 0 in column else max(column)", "max(column)", "engines"),
    (ENGINES + "onnx/shapes.py", 'if not axes and node.integer("noop_with_empty_axes", 0):', "if False:", "engines"),
    (ENGINES + "onnx/shapes.py", "if set(steps) - {1} or ", "if ", "engines"),
    (ENGINES + "onnx/operators.py", "MIN_SCALE <= value < inf", "0 <= value", "engines"),
    (ENGINES + "watchdog.py", "time.monotonic() >= self._deadline", "False", "engines"),
    (ENGINES + "watchdog.py", "            self._n_runs += 1\n", "", "engines"),
    (ENGINES + "ort.py", "            session.go_on()", "            pass", "engines"),
    (ENGINES + "ort.py", "from edge_runtime.errors", "import numpy\nfrom edge_runtime.errors", "engines"),
    (ENGINES + "engine.py", "if have != shape:", "if False:", "engines"),
    (POLICY, "~np.isin(groups, run.test_groups)", "np.isin(groups, groups)", "tests/training/test_policy.py"),
    (POLICY, "rows[~out]], table.y[rows[~out]]", "rows], table.y[rows]", "tests/training/test_policy.py"),
    (POLICY, "    cost[:, -1] = spec.abstain\n", "", "tests/training/test_policy.py"),
    (POLICY, "if right >= target * n:", "if right > 0:", "tests/training/test_policy.py"),
    (POLICY, "max(high, drawn[1])", "high", "tests/training/test_policy.py"),
    (
        POLICY,
        "k=spec.k, n=spec.n, hold_windows=spec.hold_windows)\n        return",
        "k=1, n=1)\n        return",
        "tests/training/test_policy.py",
    ),
    (PROFILE + "profile.py", "stream.nbytes_32 if target in SMALL else ", "", "tests/profile/test_profile.py"),
    (PROFILE + "rates.py", "how=how, is_measured=True", "how=how", "tests/profile/test_profile.py"),
    (PROFILE + "rates.py", '    if report["wrong"]:', "    if False:", "tests/profile/test_profile.py"),
    (PROFILE + "work.py", "IN_FLIGHT]) + 1)", "IN_FLIGHT]))", "tests/profile/test_profile.py"),
    (PROFILE + "work.py", "(max(each) + 1) if", "(max(each) + 1) if True or", "tests/profile/test_profile.py"),
    (CONTRACT + "needs.py", "self.value > self.limit", "self.value >= self.limit", "tests/daemon/test_budget.py"),
    (
        CONTRACT + "traffic.py",
        "kept, total = min(sample_k, n_windows), 0",
        "kept, total = 1, 0",
        "tests/daemon/test_traffic.py",
    ),
)


def main() -> int:
    """Plant them; 1 where one survives."""
    mutants = [Mutant(file=file, right=right, wrong=wrong, tests=_tests(word)) for file, right, wrong, word in MUTANTS]
    return plant(mutants, copied=COPIED, words=sys.argv[1:])


def _tests(word: str) -> tuple[str, ...]:
    return (word,) if "/" in word else ENGINE_TESTS if word == "engines" else (f"tests/export/{word}.py",)


if __name__ == "__main__":
    sys.exit(main())

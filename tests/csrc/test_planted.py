"""Planted bugs in the C core: its own tests must fail with each of them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.csrc.targets import CSRC, RECIPE, need

BUGS = [  # (test program, file, right, wrong)
    ("test_clock", "er_clock.c", "c->period + error / 256", "c->period - error / 256"),
    ("test_clock", "er_clock.c", "past < -1 - most", "0"),
    ("test_clock", "er_clock.c", "if (past < 0) return drop", "if (past == -1) return drop"),
    ("test_clock", "er_clock.c", "if (past > most ||", "if (past > most + 1 ||"),
    ("test_clock", "er_clock.c", "return a / b - (a % b < 0);", "return a / b;"),
    ("test_clock", "er_clock.c", "back < n) held", "1) held"),
    ("test_feed", "er_feed.c", "return 0;\n        er_clock_fill", "return f->clock->made = 0;\n        er_clock_fill"),
    ("test_feed", "er_feed.c", "if (verdict == ER_RESET) start_anew(f, w);", ""),
    ("test_feed", "er_stream.c", "if (c && c->counts.resets != resets)", "if (0)"),
    ("test_filters", "er_windows.c", "memset(w->filter_state, 0, w->filter_bytes);", ""),
    ("test_filters", "er_windows.c", "run.first = from->held - n;", "run.first = 0;"),
    ("test_filters", "er_windows.c", "if (!states_ok(w, bytes)) return ER_EFORMAT;", ""),
    ("test_filters", "er_filters_iir.c", "-2.0 * k->cosine / a0", "2.0 * k->cosine / a0"),
    ("test_filters", "er_filters_iir.c", "-k.alpha, 0.0);", "k.alpha, 0.0);"),
    ("test_filters", "er_filters_iir.c", "m->a = s1;\n    m->b = s2;", "m->a = s1;"),
    ("test_filters", "er_filters_iir.c", "(k.b2 - k.a2 * k.dc) * x", "0.0"),
    ("test_filters", "er_filters_iir.c", "if (is_faint(x, m.a)) m.a = 0.0;", ""),
    ("test_filters", "er_filters_fir.c", "keys[j - 1] = new", "keys[i] = new"),
    ("test_filters", "er_filters_fir.c", "turn > most ? -s : s", "s"),
    ("test_filters", "er_filters.c", "(n - r->first % n) % n", "0"),
    ("test_model", "er_model.c", "s->to <= written && ", ""),
    ("test_model", "er_model.c", "s->at == (s->bytes ? cursor : 0)", "1"),
    (
        "test_model",
        "er_model_trees.c",
        "~((at->feature >> 15) & (uint32_t)(value != value))",
        "~(uint32_t)(value != value)",
    ),
    ("test_model", "er_model_trees.c", "if (f->flags & FLAG_FLOAT)", "if (0)"),
    ("test_model", "er_model_trees.c", "f->column[t] > m - f->width", "f->column[t] >= m"),
    ("test_model", "er_stream.c", "!takes_nan && has_nan", "has_nan"),
    (
        "test_model_steps",
        "er_model_dense.c",
        "(lane[0] + lane[2]) + (lane[1] + lane[3]);\n}\n\nstatic int dense_ok",
        "lane[0] + lane[1] + lane[2] + lane[3];\n}\n\nstatic int dense_ok",
    ),
    ("test_model_steps", "er_model_int8.c", "(v + near) - near + zero", "v + 0.5f + zero"),
    ("test_model_steps", "er_model_int8.c", "l.bias[j] > MAX_BIAS || ", ""),
    ("test_model_steps", "er_exp.c", "- ((low - r", "- ((0.0 - r"),
    ("test_model_steps", "er_model_links.c", "if (!(x[p - 1] < x[p])) return 0;", ""),
    ("test_model_steps", "er_model_votes.c", "if (index[i] >= s->n) return 0;", ""),
    ("test_model", "er_model_trees.c", "    x[mask] = er_nan();\n", "    x[mask] = 0.0f;\n"),
    ("test_small", "er_model_small.c", "!(x <= at[half - 1])", "(x > at[half - 1])"),
    ("test_small", "er_model_small.c", "if (has_nan) right &= ~(uint32_t)(", "if (has_nan) right &= (uint32_t)("),
    ("test_small", "er_model_small.c", "n_leaves * h->width", "n_leaves"),
    ("test_small", "er_model_small.c", "depth && moving", "depth > 2 && moving"),
    ("test_small", "er_model_small.c", "right < 0 || -left > i ||", "right < 0 ||"),
    ("test_small", "er_model_small.c", "rank_in(f->nodes, i, bytes) >= f->columns[c].count", "0"),
    ("test_small", "er_model_small.c", "    if (f->h.flags & FLAG_FLOAT)", "    if (0)"),
    ("test_small", "er_model_small.c", "below(f->vectors, (uint64_t)h->n_vectors * h->width, h->n_values)", "1"),
    ("test_paired", "er_model_paired.c", "at.away >= end - i - 1", "at.away >= end - i"),
    ("test_paired", "er_model_paired.c", " || at.feature != n", ""),
    ("test_paired", "er_model_paired.c", "x[n] = -__builtin_inff();", "x[n] = 1.0f;"),
    ("test_paired", "er_model_paired.c", "right = !(f->is_left", "right = !!(f->is_left"),
    ("test_paired", "er_model_paired.c", "while (down(nodes, x, at + t)) continue", "down(nodes, x, at + t)"),
    ("test_paired", "er_model_paired.c", "f->to[t] > s->m - f->h.width || ", ""),
    ("test_paired", "er_model_paired.c", "er_up(s->n + 1, 2)", "er_up(s->n, 2)"),
    ("test_rates", "er_windows.c", "(every - first % every) % every", "0"),
    ("test_rates", "er_program.c", "!pace[me].raised && !pace[c].raised", "1"),
    ("test_rates", "er_program.c", "if (pace[f->from[s]].clock != from.clock) return ER_ERATE;", ""),
    ("test_row", "er_row_text.c", "memcmp(a->bytes, b->bytes, size_of(a)) == 0", "1"),
    ("test_row", "er_row.c", "memset(out, 0, r->p.n_cells * sizeof *out);", ""),
    ("test_row", "er_row_ops.c", "if (a->t[i].code != ER_CODE_MISSING) last", "last"),
    ("test_row", "er_row_state.c", "!er_row_state_ok(r, state)", "0"),
    ("test_row", "er_row_columns.c", "ends[1] < ends[0] ||", ""),
    ("test_row", "er_row_columns.c", "return ~er_load8(", "return er_load8("),
    ("test_ranks", "er_ranks.c", "if (next == end) sort_around(r, next);", "(void)end;"),
    ("test_ranks", "er_ranks.c", "add_up(at, 256);", "add_up(at, 255);"),
    ("test_ranks", "er_ranks.c", "n <= FEW ? sort_few(x, n) : sort_many", "n <= FEW ? (void)0 : sort_many"),
]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the core and its tests, each file compiled."""
    need("gcc")
    folder = tmp_path_factory.mktemp("core")
    shutil.copytree(CSRC, folder, ignore=shutil.ignore_patterns("out"), dirs_exist_ok=True)
    for path in [*folder.glob("er_*.c"), *{folder / "tests" / f"{bug[0]}.c" for bug in BUGS}]:
        compiled(path, folder)
    return folder


def compiled(path: Path, include: Path) -> Path:
    out = path.with_suffix(".o")
    subprocess.run(["gcc", *RECIPE, "-O1", f"-I{include}", "-c", str(path), "-o", str(out)], check=True)
    return out


def passes(test: Path, objects: list[Path], folder: Path) -> bool:
    program = folder / test.stem
    subprocess.run(["gcc", str(test), *map(str, objects), "-o", str(program), "-lm"], check=True)
    return subprocess.run([program], capture_output=True, check=False).returncode == 0


@pytest.mark.planted
@pytest.mark.parametrize("bug", BUGS, ids=[f"{b[1]}: {b[3]}" for b in BUGS])
def test_a_planted_bug_fails_its_test(bug: tuple[str, str, str, str], whole: Path, tmp_path: Path) -> None:
    """The same program passes without the bug."""
    test, file, right, wrong = bug
    run, objects = whole / "tests" / f"{test}.o", sorted(whole.glob("er_*.o"))
    assert passes(run, objects, tmp_path)
    text = (whole / file).read_text()
    assert text.count(right) == 1
    (tmp_path / file).write_text(text.replace(right, wrong))
    wrong_one = compiled(tmp_path / file, whole)
    assert not passes(run, [wrong_one if path.name == wrong_one.name else path for path in objects], tmp_path)

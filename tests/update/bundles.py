"""Small real bundles: two features, one tree of three nodes, every member what it says it is."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable
from functools import cache

from edge_runtime.contract.baseline import Baseline, Bins, Stratum
from edge_runtime.contract.bundle import Bundle, members_of, pack, unpack
from edge_runtime.contract.golden import Golden
from edge_runtime.contract.manifest import Budget, Lineage, Manifest, Policy
from edge_runtime.contract.order import Signature
from edge_runtime.contract.program import Channel, Feature, Program

LABELS = ("low", "high")
LEAVES = ((0.75, 0.25), (0.125, 0.875))
PROGRAM = Program(
    rate_hz=10.0,
    channels=(Channel(name="x", unit="m"),),
    window_frames=8,
    hop_frames=4,
    features=(Feature(name="x.mean", op=1, channel=0), Feature(name="x.std", op=2, channel=0)),
)


def forest(threshold: float = 0.5) -> bytes:
    """ERF1: x.mean <= threshold ? low : high (FORMAT.md)."""
    nodes = struct.pack("<fHHIHHIHH", threshold, 0, 2, 0, 0xFFFF, 0, 1, 0xFFFF, 0)
    roots, leaves = struct.pack("<I4x", 0), struct.pack("<4d", *LEAVES[0], *LEAVES[1])
    body = roots + nodes + leaves
    return struct.pack("<4sHHIIIIQ", b"ERF1", 2, 2, 1, 3, 2, 0, 32 + len(body)) + body


@cache
def model() -> bytes:
    """The same tree as ONNX."""
    from onnx import TensorProto, helper

    tree = helper.make_node(
        "TreeEnsembleRegressor", ["features"], ["scores"], domain="ai.onnx.ml", n_targets=2,
        nodes_treeids=[0, 0, 0], nodes_nodeids=[0, 1, 2], nodes_featureids=[0, 0, 0], nodes_values=[0.5, 0.0, 0.0],
        nodes_modes=["BRANCH_LEQ", "LEAF", "LEAF"], nodes_truenodeids=[1, 0, 0], nodes_falsenodeids=[2, 0, 0],
        target_ids=[0, 1, 0, 1], target_nodeids=[1, 1, 2, 2], target_treeids=[0, 0, 0, 0],
        target_weights=[*LEAVES[0], *LEAVES[1]],
    )  # fmt: skip
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["N", 2]) for n in ("features", "scores")]
    graph = helper.make_graph([tree], "g", ends[:1], ends[1:])
    opsets = [helper.make_opsetid("", 22), helper.make_opsetid("ai.onnx.ml", 3)]
    data: bytes = helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString()
    return data


def _bins(name: str) -> Bins:
    return Bins(name=name, edges=(0.0, 1.0), counts=(0, 1, 0), n_nan=0, centre=0.0, scale=1.0, lag1=0.0)


def members(*, rows: tuple[tuple[float, float], ...] = ((0.25, 1.0), (0.5, 1.0), (0.75, 1.0))) -> dict[str, bytes]:
    """The members of a good bundle; change one to make a bad one."""
    picked = [0 if row[0] <= 0.5 else 1 for row in rows]
    golden = Golden(features=rows, labels=tuple(picked), scores=tuple(LEAVES[i] for i in picked))
    stratum = Stratum(
        name="all",
        n_windows=1,
        features=tuple(_bins(feature.name) for feature in PROGRAM.features),
        scores=tuple(map(_bins, LABELS)),
        label_counts=(1, 0, 0),
    )
    return {
        "program.json": PROGRAM.to_bytes(),
        "model.onnx": model(),
        "model.erf": forest(),
        "baseline.json": Baseline(strata=(stratum,)).to_bytes(),
        "golden.json": golden.to_bytes(),
    }


def packed_bundle(
    version: int = 1,
    *,
    files: dict[str, bytes] | None = None,
    signer: Callable[[bytes], Signature] | None = None,
    engine: str = "native",
    latency_us: int = 0,
    memory_bytes: int = 0,
) -> bytes:
    """The bytes of a bundle with these members (default: good ones)."""
    files = members() if files is None else files
    manifest = Manifest(
        name="tiny",
        version=version,
        labels=LABELS,
        program_digest=hashlib.sha256(files["program.json"]).hexdigest(),
        engine=engine,
        precision="float64" if engine == "native" else "float32",
        policy=Policy(thresholds_ppm=(0, 0)),
        lineage=Lineage(dataset="d", dataset_version=1, dataset_digest="0" * 64, run_id="r"),
        budget=Budget(
            state_bytes=0, model_bytes=0, memory_bytes=memory_bytes, latency_us=latency_us, record_bytes_day=0
        ),
        evidence=(),
        members=members_of(files),
    )
    return pack(manifest, files, [signer(manifest.to_bytes())] if signer else [])


@cache
def make_bundle(version: int) -> Bundle:
    """A good bundle, unsigned."""
    return unpack(packed_bundle(version))


def packed(bundle: Bundle) -> bytes:
    """The bytes of *bundle*."""
    return pack(bundle.manifest, bundle.members, bundle.signatures)

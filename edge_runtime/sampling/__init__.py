"""What is kept of the decisions: at most k records a period, each with the probability that it was kept."""

from edge_runtime.sampling.frames import FrameKeeper, FrameRule
from edge_runtime.sampling.sampler import APART, Sampled, Sampler
from edge_runtime.sampling.weight import weigh

__all__ = ["APART", "FrameKeeper", "FrameRule", "Sampled", "Sampler", "weigh"]

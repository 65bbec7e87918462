"""What a bundle needs, target by target: `profile_file(path)`."""

from cloud_trainer.profile.profile import Need, Profile, Sampling, profile, profile_file, text
from cloud_trainer.profile.rates import rates_with

__all__ = ["Need", "Profile", "Sampling", "profile", "profile_file", "rates_with", "text"]

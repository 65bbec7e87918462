"""Only what pyproject.toml cannot say: the C core is built by cffi from the public header."""

from setuptools import setup

setup(cffi_modules=["edge_runtime/native/build.py:ffi"])

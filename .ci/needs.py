"""Says what a machine lacks to build Edgeloop, before anything is built. Runs on any Python 3."""

import importlib.util
import os
import shutil
import sys
import sysconfig

lacks = []
if sys.version_info < (3, 11):
    lacks.append("Python >= 3.11 (this is %d.%d; name another with make PYTHON=python3.12)" % sys.version_info[:2])
if not (importlib.util.find_spec("venv") and importlib.util.find_spec("ensurepip")):
    lacks.append("the venv module of this Python")
if not os.path.exists(os.path.join(sysconfig.get_paths()["include"], "Python.h")):
    lacks.append("the headers of this Python")
if not (shutil.which("gcc") or shutil.which("cc")):
    lacks.append("gcc")
if lacks:
    print("error: missing " + ", ".join(lacks))
    print("hint: apt install python3-venv python3-dev gcc make")
    sys.exit(2)

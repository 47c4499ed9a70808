"""Prints the list of the lessons: python -m tinyae.lessons"""

import importlib

from . import NAMES

print("Each lesson is a script in plain NumPy that trains for some seconds: python -m tinyae.lessons.NAME\n")
for name in NAMES:
    title = importlib.import_module(f"tinyae.lessons.{name}").__doc__.splitlines()[0]
    print(f"  {name:<24}{title}")

"""Holds files against a JSON schema: `schema.py SCHEMA GOOD.toml … -- WRONG.toml …`; every good one fits, no wrong one does."""

import json
import sys
from pathlib import Path

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

try:
    import tomllib
except ModuleNotFoundError:
    import tomli as tomllib


def main():
    path, *files = sys.argv[1:]
    good, wrong = files[: files.index("--")], files[files.index("--") + 1 :]
    schema = json.loads(Path(path).read_text())
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    missed = []
    for name in good + wrong:
        document = tomllib.loads(Path(name).read_text())
        error = best_match(validator.iter_errors(document))
        print(f"{name}: {f'{error.json_path}: {error.message[:200]}' if error else 'fits'}")
        if (error is None) != (name in good):
            missed.append(name)
    if missed:
        sys.exit(f"not as they should be: {', '.join(missed)}")


main()

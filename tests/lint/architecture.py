#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Every name that ARCHITECTURE.md puts in backticks is really there: functions,
structs, macros, files, tables and settings. Prints those that are not."""

import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Forms of names, not names.
PATTERNS = re.compile(r"[A-Z]{4,}_|…|NAME|<")


def sources():
    listing = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "--cached", "--others",
         "--exclude-standard", "*.c", "*.h", "*.sql", "*.py", "script/*"],
        capture_output=True, text=True, check=True).stdout.split()
    return "\n".join((ROOT / name).read_text(encoding="utf-8", errors="replace")
                     for name in listing if (ROOT / name).is_file())


def is_there(name, text):
    if "/" in name and not name.startswith("/"):
        return (ROOT / name.rstrip("/")).exists()
    last = re.split(r"[.\s/]", name)[-1]
    return re.search(rf"\b{re.escape(last)}\b", text) is not None


def main():
    document = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    document = re.sub(r"```.*?```", "", document, flags=re.S)  # drawings
    text = sources()
    names = {name for name in re.findall(r"`([^`]+)`", document)
             if re.fullmatch(r"(struct )?[\w./]+/?", name)
             and not PATTERNS.search(name)}
    missing = sorted(name for name in names if not is_there(name, text))
    for name in missing:
        print(f"ARCHITECTURE.md: there is no {name}")
    print(f"{len(names)} names, {len(missing)} missing")
    return 1 if missing or not names else 0


if __name__ == "__main__":
    sys.exit(main())

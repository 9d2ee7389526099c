#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Add up JUnit files: prints "PASSED FAILED"; skipped tests are neither. A file
that is missing or empty counts as one failure: its tests were not run."""

import sys
import xml.etree.ElementTree as tree


def count(path):
    passed = failed = 0
    for case in tree.parse(path).iter("testcase"):
        kinds = {child.tag for child in case}
        if kinds & {"failure", "error"} or case.get("status") == "fail":
            failed += 1
        elif "skipped" not in kinds and case.get("status") not in (
                "notrun", "disabled"):
            passed += 1
    return passed, failed


def main():
    passed = failed = 0
    for path in sys.argv[1:]:
        try:
            more_passed, more_failed = count(path)
        except (OSError, tree.ParseError):
            more_passed, more_failed = 0, 1
        if more_passed + more_failed == 0:
            more_failed = 1
        passed += more_passed
        failed += more_failed
    print(passed, failed)


if __name__ == "__main__":
    main()

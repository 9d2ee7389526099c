#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Each rule of includes.py is broken once in a copy of the project; the check
has to see it, and to see nothing else."""

import functools
import os
import shutil
import sys
import tempfile

import includes

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.abspath(os.path.join(HERE, "../.."))

# What is written where, and a part of the sentence it must cause.
CASES = [
    ("an arrow turned round", "core/turned.c", '#include "smtp/server.h"',
     "core/ may not include smtp/server.h"),
    ("a sibling that is not ours to know", "smtp/turned.c",
     '#include "sql/database.h"', "smtp/ may not include sql/database.h"),
    ("a sibling, backwards", "sql/turned.c", '#include "http/server.h"',
     "sql/ may not include http/server.h"),
    ("a test that reaches over", "tests/unit/smtp/turned_test.c",
     '#include "sql/database.h"', "smtp/ may not include"),
    ("libpq outside sql/", "relay/turned.c", "#include <libpq-fe.h>",
     "<libpq-fe.h> belongs to"),
    ("libevent outside the loop", "core/turned.c", "#include <event2/event.h>",
     "<event2/event.h> belongs to"),
    ("OpenSSL outside core/", "smtp/turned.c", "#include <openssl/ssl.h>",
     "<openssl/ssl.h> belongs to"),
    ("a private header", "relay/turned.c",
     '#include "core/config_internal.h"', "is private to core/"),
    ("a banned function", "core/turned.c",
     "static void f(char *a) { strcpy(a, a); }", "strcpy() is banned"),
    ("bare memory", "smtp/turned.c", "static void f(void *a) { free(a); }",
     "free() is banned"),
    ("a bad name", "core/util.c", "", "a file called util"),
    ("a typedef", "core/turned.c", "typedef struct x x_t;", "a typedef"),
    ("a path of one machine", "docs/turned.md", "/wo" "rk/main",
     "a path of one machine"),
    ("an unfinished corner", "core/turned.c", "/* FIX" "ME */", "finish it"),
]
HARMLESS = '''static const char *text = "strcpy(a, b)"; /* free(a) */
static void f(struct loop *loop) { loop->free(loop); memory_free(text); }
'''


# The cases share all files but one: the code of each is found once.
includes.code_of = functools.lru_cache(maxsize=None)(includes.code_of)


def violations_of(root):
    return includes.Check(root).run()


def copy_project(to):
    def ignored(folder, names):
        return [name for name in names
                if name in ("build", "var", "__pycache__")
                or name.startswith(".")]
    shutil.copytree(ROOT, to, ignore=ignored)


def write(root, path, text):
    path = os.path.join(root, path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


def main():
    failures = []
    with tempfile.TemporaryDirectory() as folder:
        root = os.path.join(folder, "project")
        copy_project(root)
        before = set(violations_of(root))
        for name, path, text, expected in CASES:
            licence = "" if path.endswith(".md") else \
                "/* SPDX-License-Identifier: MIT */\n"
            written = write(root, path, licence + text + "\n")
            new = [v for v in violations_of(root) if v not in before]
            os.remove(written)
            if len(new) != 1 or expected not in new[0]:
                failures.append(f"{name}: expected {expected!r}, got {new}")

        first = write(root, "core/turned_a.h", "/* SPDX-License-Identifier: "
                      'MIT */\n#include "core/turned_b.h"\n')
        second = write(root, "core/turned_b.h", "/* SPDX-License-Identifier: "
                       'MIT */\n#include "core/turned_a.h"\n')
        new = [v for v in violations_of(root) if v not in before]
        if not any("includes itself" in v for v in new):
            failures.append(f"a cycle: got {new}")
        os.remove(first)
        os.remove(second)

        for path, text, expected in (
                ("core/turned.c", "int f(void);\n", 1),
                ("smtp/turned.c", "/* SPDX-License-Identifier: MIT */\n"
                 + HARMLESS, 0)):
            written = write(root, path, text)
            new = [v for v in violations_of(root) if v not in before]
            os.remove(written)
            if len(new) != expected:
                failures.append(f"{path}: expected {expected}, got {new}")

    for failure in failures:
        print(failure)
    print(f"{len(failures)} failures")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()

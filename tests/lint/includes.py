#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What may include what, and what may not be written at all.

    includes.py [ROOT]

Prints one line for each violation and exits 1 if there is one. There is no
list of exceptions.
"""

import os
import re
import sys

# The rooms that a room's files may include, besides its own.
ROOMS = {
    "core": (),
    "smtp": ("core",),
    "tracking": ("core",),
    "dkim": ("core",),
    "sql": ("core",),
    "http": ("core", "tracking", "sql"),
    "relay": ("core", "smtp", "tracking", "dkim", "sql", "http"),
}

# Who may include the headers of a library: rooms, or single files of a room.
LIBRARIES = {
    r"event2/|event\.h|evhttp\.h|evdns\.h": (
        "core/loop.c", "core/stream.c", "core/listener.c", "core/dns.c",
        "sql/*.c once", "http/*.c once"),
    r"openssl/": ("core/", "dkim/"),
    r"libpq-fe\.h|libpq/|postgres_ext\.h|pg_config": ("sql/",),
    r"microhttpd\.h": ("http/",),
    r"unbound(-event)?\.h": ("core/",),
    r"ini\.h": ("core/",),
    r"idn2\.h": ("core/",),
    r"jansson\.h": ("tracking/", "sql/", "http/", "relay/"),
    r"crypt\.h": ("relay/",),
}

FUNCTIONS = ("sprintf vsprintf strcpy strcat strncpy strncat strtok atoi atol "
             "atof gets scanf sscanf fscanf alloca localtime gmtime system "
             "popen execl execlp execle execv execvp execve").split()
MEMORY = "malloc calloc realloc free assert strdup strndup".split()
FILE_NAMES = ("util", "utils", "common", "misc", "helpers", "shared", "stuff")
MARKS = ("TO" + "DO", "FIX" + "ME", "X" * 3)
# The slash stands first, which is much faster to search for.
PATHS = re.compile(r"/(?<![\w.]/)(?:wo" r"rk|fa" r"rm|ho" r"me/\w+|ro" r"ot)/")

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.M)
# Comments, strings and character constants: what is no code.
NO_CODE = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'',
                     re.S)
TEXT_ENDINGS = (".c", ".h", ".py", ".sql", ".md", ".txt", ".cmake", ".json",
                ".yaml", ".yml", ".conf", ".service", ".1", "Makefile",
                "Dockerfile")
# Files that carry a licence line on one of their first two lines.
LICENSED = (".c", ".h", ".py", ".cmake")


def files_of(root):
    """Every file of the project, relative to its root."""
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders
                            if name not in ("build", "var", "__pycache__",
                                            "node_modules")
                            and not name.startswith("."))
        for name in sorted(names):
            yield os.path.relpath(os.path.join(folder, name), root)


def code_of(text):
    """The text with everything that is no code blanked, lines kept."""
    def blank(match):
        return re.sub(r"[^\n]", " ", match.group())
    return NO_CODE.sub(blank, text)


def line_of(text, position):
    return text.count("\n", 0, position) + 1


class Check:
    def __init__(self, root):
        self.root = root
        self.violations = []
        self.texts = {}
        for path in files_of(root):
            if path.endswith(TEXT_ENDINGS) or self.is_script(path):
                with open(os.path.join(root, path), encoding="utf-8",
                          errors="surrogateescape") as file:
                    self.texts[path] = file.read()
        self.sources = [path for path in self.texts
                        if path.endswith((".c", ".h"))]
        self.bridges = {}

    def is_script(self, path):
        with open(os.path.join(self.root, path), "rb") as file:
            return file.read(2) == b"#!"

    def say(self, path, line, sentence):
        self.violations.append(f"{path}:{line}: {sentence}")

    @staticmethod
    def room_of(path):
        """The room a file obeys: tests/unit/ROOM/… obeys ROOM's rules."""
        parts = path.split("/")
        if parts[:2] == ["tests", "unit"] and len(parts) > 3:
            return parts[2]
        return parts[0] if len(parts) == 2 else None

    def check_rooms(self, path):
        room = self.room_of(path)
        if room not in ROOMS:
            return
        for match in INCLUDE.finditer(self.texts[path]):
            quote, target = match.groups()
            line = line_of(self.texts[path], match.start())
            other = target.split("/")[0]
            if quote == '"' and other in ROOMS and other != room:
                if other not in ROOMS[room]:
                    self.say(path, line, f"{room}/ may not include {target}: "
                             f"it may include {', '.join(ROOMS[room]) or 'nobody'}")
            if (target.endswith("_internal.h") and other != room
                    and other in ROOMS):
                self.say(path, line, f"{target} is private to {other}/")

    def is_permitted(self, path, permitted):
        room = path.split("/")[0]
        for place in permitted:
            if place.endswith(" once") and place.startswith(room + "/"):
                self.bridges.setdefault(room, set()).add(path)
                return len(self.bridges[room]) == 1
            if path == place or place.endswith("/") and path.startswith(place):
                return True
        return False

    def check_libraries(self, path):
        if path.startswith("tests/"):
            return
        for match in INCLUDE.finditer(self.texts[path]):
            for pattern, permitted in LIBRARIES.items():
                if (re.match(pattern, match.group(2))
                        and match.group(1) == "<"
                        and not self.is_permitted(path, permitted)):
                    self.say(path, line_of(self.texts[path], match.start()),
                             f"<{match.group(2)}> belongs to "
                             f"{', '.join(permitted)}")

    def check_functions(self, path):
        banned = list(FUNCTIONS)
        if not path.startswith(("core/", "tests/")):
            banned += MEMORY
        code = code_of(self.texts[path])
        # A member ("loop->system") and a longer name are something else.
        pattern = r"(?<![\w.>])(%s)[ \t]*\(" % "|".join(banned)
        for match in re.finditer(pattern, code):
            self.say(path, line_of(code, match.start()),
                     f"{match.group(1)}() is banned")
        for match in re.finditer(r"^\s*typedef\b[^;]*?(\w+)\s*(\([^;]*\))?\s*;",
                                 code, re.M):
            if not match.group(1).endswith("_fn") and "_fn" not in match.group():
                self.say(path, line_of(code, match.start()),
                         "a typedef names a function type …_fn, nothing else")

    def check_names(self, path):
        stem = os.path.basename(path).split(".")[0]
        if stem in FILE_NAMES:
            self.say(path, 1, f"a file called {stem} collects what has no place")

    def check_text(self, path):
        text = self.texts[path]
        if path.endswith(LICENSED) and "SPDX-License-Identifier: MIT" not in \
                "\n".join(text.split("\n")[:2]):
            self.say(path, 1, "the SPDX line is missing")
        for match in PATHS.finditer(text):
            self.say(path, line_of(text, match.start()),
                     f"a path of one machine: {match.group()}…")
        for mark in (mark for mark in MARKS if mark in text):
            for match in re.finditer(r"\b%s\b" % mark, text):
                self.say(path, line_of(text, match.start()),
                         f"{mark}: finish it or take it out")

    def check_cycles(self):
        graph = {path: [target for quote, target
                        in INCLUDE.findall(self.texts[path])
                        if quote == '"' and target in self.texts]
                 for path in self.sources}
        done = set()

        def visit(path, trail):
            if path in trail:
                cycle = trail[trail.index(path):] + [path]
                self.say(path, 1, "includes itself: " + " -> ".join(cycle))
            elif path not in done:
                for target in graph.get(path, ()):
                    visit(target, trail + [path])
                done.add(path)

        for path in graph:
            visit(path, [])

    def run(self):
        for path in self.sources:
            self.check_rooms(path)
            self.check_libraries(path)
            self.check_functions(path)
        for path in self.texts:
            self.check_names(path)
            self.check_text(path)
        self.check_cycles()
        return self.violations


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.join(here, "../..")
    violations = Check(os.path.abspath(root)).run()
    for violation in violations:
        print(violation)
    print(f"{len(violations)} violations")
    sys.exit(1 if violations else 0)


if __name__ == "__main__":
    main()

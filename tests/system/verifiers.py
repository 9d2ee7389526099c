# SPDX-License-Identifier: MIT
"""Four programs that verify DKIM signatures, none of which knows Baton: mailauth
(Node.js), dkimpy (Python), OpenDKIM (C) and Mail::DKIM (Perl). Each reads all the
messages in one process and asks a DNS server of the test's own for the keys.

    found = verify(folder, {"one.eml": data}, nameserver.port)
    found["mailauth"]["one.eml"] == [Signature(…)]
"""

import collections
import json
import os
import re
import shutil
import subprocess
import threading

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "verifiers")
SECONDS = 120
FIELD_BYTES = 64000  # OpenDKIM's test mode refuses files with a longer field
FILES_AT_ONCE = 2000  # that OpenDKIM is told of in one argument

RSA, ED25519 = "rsa-sha256", "ed25519-sha256"

# domain, selector, algorithm and result ("pass" or another word) of a signature
Signature = collections.namedtuple("Signature",
                                   "domain selector algorithm result reason")

# What each can verify. Mail::DKIM 1.20230212 has no Ed25519 (RFC 8463): it finds
# such a signature, and says that it does not know its algorithm.
KNOWN = {"mailauth": (RSA, ED25519), "dkimpy": (RSA, ED25519),
         "opendkim": (RSA, ED25519), "Mail::DKIM": (RSA,)}


def need(program, package):
    path = shutil.which(program) or shutil.which(program, path="/usr/sbin")
    assert path, f"{program} is not installed: script/install test ({package})"
    return path


def run(command, folder, given=""):
    done = subprocess.run(command, cwd=folder, input=given, text=True,
                          capture_output=True, timeout=SECONDS)
    assert done.returncode == 0, (
        f"{' '.join(command)[:200]} ended with {done.returncode}:\n"
        f"{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


def read_lines(output):
    found = collections.defaultdict(list)
    for line in output.splitlines():
        one = json.loads(line)
        found[one.pop("file")].append(Signature(**one))
    return found


def run_mailauth(folder, names, port):
    assert os.path.isdir(HERE + "/node_modules/mailauth"), (
        "mailauth is not installed: script/verifiers fetches it with npm, which "
        "has to reach its registry once; without it this proof is incomplete")
    return read_lines(run([need("node", "nodejs"), HERE + "/mailauth.js", str(port)],
                          folder, "\n".join(names)))


def run_dkimpy(folder, names, port):
    return read_lines(run([need("/usr/bin/python3", "python3"), HERE + "/dkimpy.py",
                           str(port)], folder, "\n".join(names)))


def run_mail_dkim(folder, names, port):
    return read_lines(run([need("perl", "perl"), HERE + "/mail_dkim.pl", str(port)],
                          folder, "\n".join(names)))


# OpenDKIM looks for keys itself: through a resolver that asks nobody but us. It
# would not look at headers over 64 KB.
RESOLVER = """server:
    do-not-query-localhost: no
    module-config: "iterator"
forward-zone:
    name: "."
    forward-addr: 127.0.0.1@{port}
"""
SETTINGS = """Mode v
Syslog no
AlwaysAddARHeader yes
MinimumKeyBits 2048
MaximumHeaders 0
ResolverConfiguration {folder}/resolver.conf
"""
FINDING = re.compile(r"dkim=(\w+)(?: reason=\"([^\"]*)\")?(?: \([^()]*\))?"
                     r" header\.d=(\S+)(?: header\.i=\S+)? header\.a=(\S+)"
                     r" header\.s=(\S+)")


def run_opendkim(folder, names, port):
    """In its test mode: for each file it prints the Authentication-Results that
    it would add, then a sentence that names the file."""
    with open(folder + "/resolver.conf", "w", encoding="utf-8") as file:
        file.write(RESOLVER.format(port=port))
    with open(folder + "/opendkim.conf", "w", encoding="utf-8") as file:
        file.write(SETTINGS.format(folder=folder))
    found = collections.defaultdict(list)
    for at in range(0, len(names), FILES_AT_ONCE):
        some = names[at:at + FILES_AT_ONCE]
        output = run([need("opendkim", "opendkim"), "-x", "opendkim.conf", "-vv",
                      "-t", ",".join(some)], folder)
        pieces = re.split(r"(?m)^opendkim: (\S+): (?:verification|message not).*$",
                          output)
        assert pieces[1::2] == some, (
            "OpenDKIM did not speak of each message once", output[-2000:])
        for said, name in zip(pieces[::2], pieces[1::2]):
            found[name] = [Signature(domain, selector, algorithm, result, reason)
                           for result, reason, domain, algorithm, selector
                           in FINDING.findall(said)]
    return found


def opendkim_reads(data):
    header = data.partition(b"\r\n\r\n")[0]
    return len(header) < FIELD_BYTES or all(
        len(field) < FIELD_BYTES for field in re.split(rb"\r\n(?![ \t])", header))


RUN = {"mailauth": run_mailauth, "dkimpy": run_dkimpy, "opendkim": run_opendkim,
       "Mail::DKIM": run_mail_dkim}


def verify(folder, messages, port, verifiers=tuple(RUN)):
    """messages: {file name: bytes}. {verifier: {file name: [Signature]}}; a
    verifier that does not run is a failure. What OpenDKIM cannot read is not in
    its answer."""
    folder = str(folder)
    for name, data in messages.items():
        with open(os.path.join(folder, name), "wb") as file:
            file.write(data)
    names = {verifier: sorted(messages) for verifier in verifiers}
    names["opendkim"] = [name for name in sorted(messages)
                         if opendkim_reads(messages[name])]
    found = {}
    faults = []

    def work(verifier):
        try:
            found[verifier] = RUN[verifier](folder, names[verifier], port)
            for name in names[verifier]:
                found[verifier].setdefault(name, [])
        except Exception as fault:  # reported by the caller's thread
            faults.append(f"{verifier}: {fault}")

    threads = [threading.Thread(target=work, args=(verifier,))
               for verifier in verifiers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults, "\n".join(faults)
    return found


def faults_of(found, name, wanted):
    """What is wrong with a message that has to carry just these signatures, as
    (domain, selector, algorithm), each of which has to verify."""
    faults = []
    for verifier, some in found.items():
        if name not in some:
            continue
        there, known = some[name], KNOWN[verifier]
        if sorted(one[:3] for one in there) != sorted(wanted):
            faults.append(f"{verifier} on {name}: it carries {there}, "
                          f"and not {wanted}")
        faults += [f"{verifier} on {name}: {one}" for one in there
                   if one.algorithm in known and one.result != "pass"]
        faults += [f"{verifier} on {name} knows {one.algorithm} after all"
                   for one in there
                   if one.algorithm not in known and one.result == "pass"]
    return faults


def count_passes(found):
    """{(verifier, algorithm): signatures that verified}"""
    return collections.Counter(
        (verifier, one.algorithm) for verifier, messages in found.items()
        for some in messages.values() for one in some if one.result == "pass")


def algorithms():
    """Every (verifier, algorithm) that can be checked."""
    return {(verifier, algorithm) for verifier, known in KNOWN.items()
            for algorithm in known}

import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")

DAEMONS = """
import os, time
from jaxkd.runtime.confinement import linux, process_tree
linux.adopt_orphans()
pipe = os.pipe()
leader = os.fork()
if leader == 0:
    for _ in range(3):
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                os.write(pipe[1], b"x")
                time.sleep(60)
            os._exit(0)
    time.sleep(60)
for _ in range(3):
    os.read(pipe[0], 1)
"""


def test_daemons_are_counted_and_ended():
    code = f"{DAEMONS}\nwhile len(process_tree.members()) != 4: pass\nprocess_tree.end(leader)\n"
    code += "print(len(process_tree.members()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "0\n"


def test_threads_and_memory_are_counted():
    code = f"""{DAEMONS}
import threading
if os.fork() == 0:
    for _ in range(4): threading.Thread(target=time.sleep, args=(60,)).start()
    kept = b"x" * (64 << 20)
    os.write(pipe[1], b"x")
    time.sleep(60)
os.read(pipe[0], 1)
largest = max(process_tree.members(), key=lambda member: member.threads)
print(largest.threads, largest.memory > 64 << 20)
process_tree.end(leader)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "5 True\n"

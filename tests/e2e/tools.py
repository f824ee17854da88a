"""Real clients for tests: where they are, how they are told about the gateway, and what to say when one is not there."""
import fcntl
import functools
import os
import pathlib
import shutil
import subprocess
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
CACHE = ROOT / "build" / "e2e-tools"
PYTHON_PACKAGES = ("boto3==1.44.5", "awscli==1.46.3")
DUCKDB_PACKAGES = ("duckdb==1.5.5", "duckdb-extension-httpfs==1.5.5")
# The last line of versions that runs on Debian 12's Node 18.
NPM_PACKAGE = "@aws-sdk/client-s3@3.888.0"
INSTALL_SECONDS_MAX = 180


def clean_environment(**more):
    """The environment without anybody's cloud account in it."""
    env = {n: v for n, v in os.environ.items() if not n.startswith(("AWS_", "RCLONE_", "RESTIC_", "TF_"))}
    env.update({"AWS_EC2_METADATA_DISABLED": "true", "AWS_PAGER": "", "AWS_MAX_ATTEMPTS": "1"}, **more)
    return env


def run(command, seconds=300, **more):
    return subprocess.run([str(c) for c in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=seconds, text=True, errors="replace", **more)


def program(name):
    """Debian's own program, not what else the PATH may hold."""
    path = shutil.which(name, path="/usr/bin:/bin:/usr/sbin:/sbin")
    if path is None:
        raise unittest.SkipTest(f"{name} is not installed")
    return path


def _install(directory, steps):
    """Runs `steps` once; a stamp remembers success. Returns None or why it did not work, which classes of the same run are not to try again."""
    stamp, problem = directory / "installed", directory.with_suffix(".problem")
    directory.parent.mkdir(parents=True, exist_ok=True)
    with open(directory.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if stamp.exists():
            return None
        run_id = os.environ.get("ARCHIPEL_E2E_RUN", str(os.getpid()))
        if problem.exists() and problem.read_text().startswith(run_id + " "):
            return problem.read_text().partition(" ")[2]
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir()
        reason = _steps(directory, steps)
        if reason is None:
            stamp.touch()
        else:
            problem.write_text(f"{run_id} {reason}")
        return reason


def _steps(directory, steps):
    for step in steps:
        try:
            done = run(step, INSTALL_SECONDS_MAX, cwd=directory)
        except (OSError, subprocess.TimeoutExpired) as error:
            return str(error)
        if done.returncode != 0:
            return (done.stdout.strip().splitlines() or ["no output"])[-1]
    return None


@functools.cache
def _venv(packages):
    directory = CACHE / ("python-" + "-".join(packages).replace("==", "-"))
    python = "/usr/bin/python3" if pathlib.Path("/usr/bin/python3").exists() else sys.executable
    return directory, _install(directory, [
        [python, "-m", "venv", directory / "venv"],
        [directory / "venv/bin/pip", "install", "--quiet", "--retries", "1", "--timeout", "15", *packages]])


def venv(name, packages=PYTHON_PACKAGES):
    """A program of a virtual environment with current clients from PyPI, or a skip that says why not."""
    directory, problem = _venv(packages)
    if problem:
        raise unittest.SkipTest(f"PyPI did not give {' '.join(packages)}: {problem}")
    return directory / "venv/bin" / name


def duckdb_python():
    return venv("python3", DUCKDB_PACKAGES)


def fuse():
    """Skips where nobody may mount: many containers have no /dev/fuse, or have it and refuse the mount."""
    try:
        os.close(os.open("/dev/fuse", os.O_RDWR))
    except OSError as error:
        raise unittest.SkipTest(f"/dev/fuse cannot be opened ({error.strerror}): s3fs is not tried") from None
    status = dict(line.split(":", 1) for line in pathlib.Path("/proc/self/status").read_text().splitlines() if ":" in line)
    if not int(status["CapEff"], 16) >> 21 & 1 and shutil.which("fusermount") is None:
        raise unittest.SkipTest("this process may not mount (no CAP_SYS_ADMIN, no fusermount): s3fs is not tried")


@functools.cache
def _node_modules():
    directory = CACHE / ("npm-" + NPM_PACKAGE.replace("/", "-").replace("@", ""))
    return directory, _install(directory, [["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", directory, NPM_PACKAGE]])


def node_modules():
    """(node, directory that holds node_modules), or a skip."""
    node = shutil.which("node")
    if node is None or shutil.which("npm") is None:
        raise unittest.SkipTest("node and npm are not installed: the SDK for JavaScript is not tried")
    directory, problem = _node_modules()
    if problem:
        raise unittest.SkipTest(f"npm did not give {NPM_PACKAGE}: {problem}")
    return node, directory

"""What the measurements share: the programs, clean surroundings, a clock, and the table of ratios.

Every measurement runs both sides in one go on one machine, and what counts is their ratio.
"""

import contextlib
import datetime
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
HERE = pathlib.Path(__file__).resolve().parent


class Tools:
    """The programs that are measured, in surroundings of their own: no file of the user is read or written."""

    def __init__(self, folder, provider):
        self.folder, self.provider = pathlib.Path(folder), provider
        target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
        self.infra = pathlib.Path(os.environ.get("INFRA", target / "release/infra"))
        if not self.infra.exists():
            sys.exit(f"error: {self.infra} is missing\n       build it first: cargo build --release -p infra")
        self.environment = os.environ | {
            "INFRA_STATE": str(self.folder / "state"),
            "KUBECONFIG": str(self.folder / "kubeconfig"),
        }
        if provider == "kind":
            self._find_kind()

    def _find_kind(self):
        node_image, kind = os.environ.get("NODE_IMAGE"), os.environ.get("KIND")
        if not (node_image and kind):
            built = [ROOT / "dev/kind-node/build"]
            node_image, kind = subprocess.run(built, check=True, capture_output=True, text=True).stdout.split()
        self.kind, self.node_image = kind, node_image
        self.environment |= {
            "PATH": f"{pathlib.Path(kind).parent}:{os.environ['PATH']}",
            "KIND": kind,
            "NODE_IMAGE": node_image,
            "INFRA_KIND": kind,
            "INFRA_NODE_IMAGE": node_image,
        }

    def run(self, *command, may_fail=False):
        """Runs a command to its end and returns its seconds. `output` and `peak_memory_mebibytes` are of the last one."""
        command = [str(word) for word in command]
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        begin = time.monotonic()
        process = subprocess.Popen(command, env=self.environment, text=True, cwd=ROOT, **streams)
        watcher = threading.Thread(target=self._watch, args=[process])
        watcher.start()
        self.output, _ = process.communicate()
        seconds = time.monotonic() - begin
        watcher.join()
        if process.returncode != 0 and not may_fail:
            last = "\n".join(f"    | {line}" for line in self.output.splitlines()[-25:])
            sys.exit(f"error: {' '.join(command)} ended with {process.returncode}:\n{last}")
        return seconds

    def _watch(self, process):
        """The kernel keeps the high-water mark of the process alone: what it starts itself does not count."""
        self.peak_memory_mebibytes = 0.0
        while process.poll() is None:
            with contextlib.suppress(OSError, StopIteration):
                lines = pathlib.Path(f"/proc/{process.pid}/status").read_text().splitlines()
                mark = next(line for line in lines if line.startswith("VmHWM"))
                self.peak_memory_mebibytes = int(mark.split()[1]) / 1024
            time.sleep(0.05)

    def by_hand(self, *arguments):
        """A command of `by-hand`; returns its seconds."""
        return self.run(HERE / "by-hand", *arguments)

    def apply(self, scenario, *arguments):
        """`infra apply`; returns its seconds."""
        return self.run(self.infra, "apply", scenario, "--provider", self.provider, "--yes", *arguments)

    def destroy(self, scenario):
        """`infra destroy`; returns its seconds."""
        return self.run(self.infra, "destroy", scenario, "--yes")


@contextlib.contextmanager
def tools(*clusters, provider="kind"):
    """The tools in a folder that goes away afterwards, as do the kind clusters of these names."""
    with tempfile.TemporaryDirectory(prefix="infra-bench-") as folder:
        made = Tools(folder, provider)
        try:
            yield made
        finally:
            for cluster in clusters:
                made.run(made.kind, "delete", "cluster", "--name", cluster, may_fail=True)


def records(output):
    """The events of a run with `--json`."""
    return [json.loads(line) for line in output.splitlines() if line.startswith("{")]


def moment(record):
    """When an event happened."""
    return datetime.datetime.fromisoformat(record["at"])


class Table:
    """Prints one line for each figure, and remembers whether all bounds were kept."""

    def __init__(self, other="by hand"):
        self.kept = True
        print(f"{'':44} {'infra':>10} {other:>10} {'ratio':>8} {'at most':>8}", flush=True)

    def ratio(self, what, ours, theirs, bound):
        """Two durations in seconds, and the ratio that must not be exceeded."""
        self._line(what, f"{ours:.2f} s", f"{theirs:.2f} s", ours / theirs, bound)

    def compare(self, what, ours, theirs, unit, bound, mark=""):
        """Two figures of one unit, and the ratio that must not be exceeded; `mark` says how theirs is known."""
        self._line(what, f"{ours:.2f} {unit}", f"{mark}{' ' if mark else ''}{theirs:.0f} {unit}", ours / theirs, bound)

    def value(self, what, value, unit, bound):
        """One figure with its bound."""
        self._line(what, f"{value:.3g} {unit}", "", value, bound, shown="")

    def _line(self, what, ours, theirs, figure, bound, shown=None):
        verdict = "" if figure <= bound else "  MISSED"
        self.kept = self.kept and not verdict
        shown = f"{figure:.3f}x" if shown is None else shown
        print(f"{what:44} {ours:>10} {theirs:>10} {shown:>8} {bound:>8}{verdict}", flush=True)

    def end(self):
        """Leaves with 1 when a bound was missed."""
        sys.exit(0 if self.kept else 1)


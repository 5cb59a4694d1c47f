"""What masking costs: lines and megabytes a second, against plain str.replace.

    python benchmarks/redact.py [LINES]

Ordinary output is masked in blocks (as streams and supervisors do) and line by line,
with 0, 10 and 100 known secrets. Medians of five, of processor time, so that a busy
machine does not count.
"""

from __future__ import annotations

import secrets
import statistics
import sys
import time
from collections.abc import Callable

from olrunbook.redact import Redactor, new_key

SAMPLE = (
    "2026-11-26T11:52:03.120Z INFO  tika.server: request 4711 done in 23 ms",
    "    amazon-ebs.server: Get:1 http://mirror.example/debian bookworm/main amd64",
    "aws:autoscaling:Group tika-ci updated (12s) [diff: ~launchTemplate,tags]",
    "[@docker] Success: Install packages (apt-get install -y openjdk-17-jre)",
    "Pulling fs layer 1f3870be274f6c49b3e31a0c6728957f",
    "step 4 of 17: writing /etc/systemd/system/tika.service (0644 root:root)",
    "arn:aws:iam::123456789012:role/deployer assumed by i-0df7e95b351bd8408",
    "warning: 3 packages can be upgraded. Run 'apt list --upgradable' to see them.",
)
BLOCK = 1000


def seconds(work: Callable[[], object], times: int = 5) -> float:
    """Return the median time of some work."""
    took = []
    for _ in range(times):
        began = time.process_time()
        work()
        took.append(time.process_time() - began)
    return statistics.median(took)


def main(lines: int) -> None:
    """Measure and print."""
    output = [f"{SAMPLE[n % len(SAMPLE)]} #{n}" for n in range(lines)]
    blocks = ["\n".join(output[n : n + BLOCK]) for n in range(0, lines, BLOCK)]
    size = sum(map(len, blocks)) / 1e6
    print(f"{lines} lines, {size:.1f} MB")
    for count in (0, 10, 100):
        values = [secrets.token_urlsafe(18) for _ in range(count)]
        redactor = Redactor(new_key(), values)

        def replaced(values: list[str] = values) -> None:
            for block in blocks:
                for value in values:
                    block.replace(value, "[masked:00000000]")

        def masked(redactor: Redactor = redactor) -> None:
            for block in blocks:
                redactor.text(block)

        def by_line(redactor: Redactor = redactor) -> None:
            for line in output:
                redactor.text(line)

        assert all(redactor.text(block) == block for block in blocks)
        for name, work in (
            ("str.replace", replaced),
            ("blocks", masked),
            ("line by line", by_line),
        ):
            took = seconds(work)
            print(
                f"{count:4} secrets  {name:13} {took:6.3f} s"
                f"  {lines / max(took, 1e-9):12,.0f} lines/s"
                f"  {size / max(took, 1e-9):8.1f} MB/s"
            )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)

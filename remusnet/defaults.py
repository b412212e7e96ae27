"""The values where the user gives none: times, rate, classifier, places. It imports nothing.

Times and the rate stand here twice: in a user's words, and in the units that remusnet counts in.
"""

from __future__ import annotations

INTERVAL, INTERVAL_NS = "200ms", 200_000_000
"""Between two checkpoints: xl's own default (xl.1, remus -i)."""
PAUSE, PAUSE_NS = "50ms", 50_000_000
"""How long a checkpoint stops the guest: an assumption."""
COMMIT_DELAY, COMMIT_DELAY_NS = "5ms", 5_000_000
"""From the resume to the commit: an assumption."""
LONGEST_LISTEN_S = 30.0
"""How long a change that would end a plug listens for a driver of it."""
RATE, RATE_BITS = "1gbit", 10**9
"""Of the guest's link; bits a second."""
CLASSIFIER, AUTO = "u32", "auto"
"""The one that every kernel with traffic control has; and the word for one that the kernel has."""

LIBVIRT = "xen:///system"
"""Where libvirt is asked."""
RUN_DIR, RUN_DIR_VARIABLE = "/run/remusnet", "REMUSNET_RUN_DIR"
"""Receipts, locks, and the record of each plug; and the variable that names another folder."""
HOST_FILE = "/etc/remusnet/remusnet.toml"
"""Domains, and the vifs that are to be protected."""
PLACES = {
    "REMUSNET_CONFIG": HOST_FILE,
    RUN_DIR_VARIABLE: RUN_DIR,
    "REMUSNET_STATE_DIR": "/var/lib/remusnet",
    # Where Xen's own scripts have their locks (tools/hotplug/Linux/locking.sh).
    "REMUSNET_XEN_LOCK_DIR": "/var/run/xen-hotplug",
}
"""Of the netbuf script, by the variables that name others."""

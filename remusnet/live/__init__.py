"""A live run: a real program under Remus on this machine, without Xen.

The program runs in a network namespace and a cgroup of its own, is frozen at each checkpoint, and
what it sends goes through the real rules to a plug: the kernel's where it has one, else a small
process. Three processes take part, beside the program:

    guard     who was called: starts the runner, watches, measures, and clears up if all else fails
    runner    in the namespace that stands for Dom0: makes devices and rules, starts the program,
              takes checkpoints, and takes everything back
    keeper    the userspace plug: keeps what is held, and sends it on at the commit

docs/explanation/live-runs.md says what of that is real and what is not.
"""

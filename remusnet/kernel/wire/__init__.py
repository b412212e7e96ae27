"""The door to the kernel: netlink and bpf(2), as bytes and as values.

One codec serves what is sent and what is read. Modules that call themselves light import next to
nothing, for Xen's netbuf script is started anew each time.
"""

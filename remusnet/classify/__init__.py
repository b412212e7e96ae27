"""From a policy to filters: the reference classifier, and the back ends u32, flower and bpf.

The reference classifier says what a policy holds; each back end agrees with it, or says what it
holds beyond. Pure: nothing here opens, starts or waits for anything.

`remusnet.classify("call.pcap")` judges a capture: see `remusnet.api.recordings.classify`.
"""

from __future__ import annotations

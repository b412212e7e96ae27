"""The lab: a real Linux kernel as an ordinary process, in which a job is root and can harm nothing.

``uml`` boots a User-Mode Linux kernel that has all that remusnet uses; ``kernel`` finds one on this
machine; ``runs`` starts a job in it, watches it and ends all of it.
"""

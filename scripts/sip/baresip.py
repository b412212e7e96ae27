"""A baresip without screen and sound card: it plays a sine, and hears into the void."""

from __future__ import annotations

_MODULES = "/usr/lib/baresip/modules"
_SETTINGS = f"""\
poll_method epoll
audio_source ausine,440
ausrc_srate 48000
ausrc_channels 2
audio_player aubridge,{{name}}
audio_alert aubridge,alert
module_path {_MODULES}
module g711.so
module ausine.so
module aubridge.so
module_tmp uuid.so
module_app account.so
module_app menu.so
"""


def settings(name: str) -> str:
    """The lines of its ``config`` that are the same for all; whose ``name`` it is."""
    return _SETTINGS.format(name=name)

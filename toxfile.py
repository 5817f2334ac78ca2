"""A plugin of tox for this project: the environment ``gate`` works in the folder that tox was started in.

The paths in ``tox -c elsewhere/tox.ini -e gate -- model`` then mean what they mean where one stands.
"""

from __future__ import annotations

from pathlib import Path

from tox.config.loader.memory import MemoryLoader
from tox.config.sets import EnvConfigSet
from tox.plugin import impl
from tox.session.state import State


@impl
def tox_add_env_config(env_conf: EnvConfigSet, state: State) -> None:
    """Set the working folder of ``gate``."""
    if env_conf.name == "gate":
        env_conf.loaders.insert(0, MemoryLoader(change_dir=Path.cwd()))

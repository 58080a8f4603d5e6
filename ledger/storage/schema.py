"""The database's shape: made and moved by Alembic's migrations, and never used while it is another one."""

import sqlalchemy as sa
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError

from alembic import command
from ledger.errors import Misconfigured
from ledger.resources import folder

NEWER_HELP = "install the version of oblik that wrote it, or a later one"


def alembic_config(connection: sa.Connection | None = None) -> Config:
    """Give Alembic's settings, with the migrations of this package."""
    config = Config()
    config.set_main_option("script_location", str(folder("alembic")).replace("%", "%%"))
    if connection is not None:
        config.attributes["connection"] = connection
    return config


def upgrade_schema(engine: sa.Engine) -> None:
    """Bring the database to this version's shape, in one transaction."""
    try:
        with engine.connect() as connection:
            connection.execution_options(lock_head=True)
            with connection.begin():
                command.upgrade(alembic_config(connection), "head")
    except sa.exc.DatabaseError as error:
        raise Misconfigured(f"the database cannot be opened: {error.orig}") from error
    except CommandError as error:
        raise Misconfigured(f"the database is newer than this program: {error}", help=NEWER_HELP) from error


def check_schema(engine: sa.Engine) -> None:
    """Raise Misconfigured, with what to do, unless the database has exactly this version's shape."""
    scripts = ScriptDirectory.from_config(alembic_config())
    wanted = scripts.get_current_head()
    try:
        with engine.connect() as connection:
            found = MigrationContext.configure(connection).get_current_revision()
    except sa.exc.DatabaseError as error:
        raise Misconfigured(
            f"the database cannot be opened: {error.orig}", help="check the path or the server; `oblik init` makes one"
        ) from error
    if found == wanted:
        return
    if found is None:
        raise Misconfigured("the database holds no ledger", help="run `oblik init`")
    if found in {script.revision for script in scripts.walk_revisions()}:
        raise Misconfigured(
            f"the database is older than this program (at {found}, wanted {wanted})",
            help="back it up, then run `oblik upgrade`",
        )
    raise Misconfigured(
        f"the database is newer than this program (at {found}, which is not known here)",
        help=NEWER_HELP,
    )

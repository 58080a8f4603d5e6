"""Ids to search through, page by page, in the order of the database, each query through an index."""

import sqlalchemy as sa

from ledger.storage.tables import CredentialRow, OrganisationRow, ResourceRow, table

CREDENTIAL, ORGANISATION, RESOURCE = table(CredentialRow), table(OrganisationRow), table(ResourceRow)


def read_resources(connection: sa.Connection, type_: str, *, after: str, count: int) -> list[str]:
    """Read ids of datasets or weights that have a version at some tier, beginning after one of them."""
    prefix = f"{type_}:"
    query = (
        sa.select(RESOURCE.c.name)
        .where(RESOURCE.c.name > prefix + after, RESOURCE.c.name.like(f"{prefix}%"))
        .distinct()
        .order_by(RESOURCE.c.name)
        .limit(count)
    )
    return [name.removeprefix(prefix) for name in connection.execute(query).scalars()]


def read_organisations(connection: sa.Connection, *, after: str, count: int, only: str | None) -> list[str]:
    """Read ids of organisations, or `only` one."""
    query = sa.select(ORGANISATION.c.id).where(ORGANISATION.c.id > after).order_by(ORGANISATION.c.id).limit(count)
    if only is not None:
        query = query.where(ORGANISATION.c.id == only)
    return list(connection.execute(query).scalars())


def read_systems(connection: sa.Connection, *, after: str, count: int, only: str | None, now: str) -> list[str]:
    """Read the systems that hold a token in force, as `<organisation>/<name>`, of all organisations or `only` one."""
    org, _, holder = after.partition("/")
    query = (
        sa.select(CREDENTIAL.c.org, CREDENTIAL.c.holder)
        .where(
            CREDENTIAL.c.holder_type == "system",
            sa.tuple_(CREDENTIAL.c.org, CREDENTIAL.c.holder) > sa.tuple_(org, holder),
            CREDENTIAL.c.revoked_seq.is_(None),
            CREDENTIAL.c.expires > now,
        )
        .distinct()
        .order_by(CREDENTIAL.c.org, CREDENTIAL.c.holder)
        .limit(count)
    )
    if only is not None:
        query = query.where(CREDENTIAL.c.org == only)
    return [f"{row.org}/{row.holder}" for row in connection.execute(query)]

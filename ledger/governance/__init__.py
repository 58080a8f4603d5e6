"""What officials govern, as values and rules: pure, strict, and never wider than what it came from.

    purposes    a tree of purposes with classes; a grant for a node covers what lies below it
    tiers       how much is seen: metadata < aggregate < synthetic < derived < redacted < raw
    labels      confidentiality labels (ADatP-4774), and the label of what is derived from several
    spif        the security policy (SPIF 2.1) by which a label is read and marked
    manifest    signed manifests of data and weights (OpenSSF Model Signing v1.0)
    card        dataset cards (Croissant 1.0 and 1.1)
    agreement   templates, drafting within a template, grants within an agreement, the text for people
    terms       what an agreement and a grant say, field by field, and which of them is wider
    quorum      who has to agree; distinct people, one role each, never the one who asks
    lineage     I6: what is derived is bounded by every ancestor
    promotion   the life of weights, and the gate of evidence and thresholds
    forms       the forms that fields share: identifiers, countries, times, sorted sets, JSON of bounded size
    bundle      the signed envelope (DSSE in a Sigstore bundle) around a manifest
    label_forms, markings   labels in XML, and what stands on a page
    documents   JSON and XML that others wrote, read strictly: for labels, spif, manifest and card

The contract of the layer. Every function takes values and gives values, or raises from `ledger.errors`: Malformed
(with a JSON pointer) for input that is not of its form, Conflict for well-formed input that goes beyond what bounds it,
Forbidden for a person who may not. Nothing here reads a file, a clock or the ledger, and nothing knows of decisions
(`ledger.access`); services gather, call, and record.

Structs travel in ledger entries by `msgspec.to_builtins` and `msgspec.convert`: ASCII keys, no floats (a metric is a
decimal string), sets as sorted tuples, times as `2026-11-21T09:30:00.123456Z`, whose order as text is order in time.

Where permission is concerned, what is missing is closed: an empty set means the originator alone, an unknown purpose is
covered by nothing, a missing metric fails, an empty quorum cannot be made.
"""

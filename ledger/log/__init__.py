"""The log: entries, their chain, the Merkle tree over them, and what is signed about it. Pure.

Everything here takes values and gives values or raises, so that an auditor can verify a ledger offline with this folder
alone. It never reads a clock, a file, a socket or a database; whoever calls brings bytes and time.

    codec         strict base64
    canonical     RFC 8785 JSON, with limits that make every encoder agree
    entry         one entry: form, strict parsing, time
    merkle        RFC 9162 hashes and the tree's right edge
    proof         RFC 9162 inclusion and consistency proofs, over a reader of hashes
    tile          C2SP tlog-tiles: paths, entry bundles, and the reader of hashes over rows of tiles
    tree_check    the same reader over tiles that nobody vouches for: each is proven against a checkpoint's root
    place         a log's files (checkpoint, tiles, bundles) by their paths and limits, wherever they lie
    note          C2SP signed-note: keys, signing, opening; Ed25519
    checkpoint    C2SP tlog-checkpoint: its text, and the text as a signed note
    cosignature   C2SP tlog-cosignature: timestamped Ed25519 and ML-DSA-44; keys of every type from their text
    trust_policy  C2SP tlog-policy: the logs and witnesses that a verifier goes by, and the quorum
    proof_file    C2SP tlog-proof: an inclusion proof and its checkpoint, in one file
    receipt       a proof file that carries its entry
    evidence      two checkpoints of one log that contradict each other, in one file
    timestamp     RFC 3161 time-stamps over a checkpoint's text
    witnessing    C2SP tlog-witness: asking for a cosignature, and the rule by which a witness answers
    sealed        salted commitments to sensitive fields, RFC 9901 disclosures
    streams       the heads of all streams under one hash, and proofs of where one stands
    stream_file   one stream as a file of lines, with the proof that it is whole
    verify        the chain rule over a stream of entries
    export        a whole ledger as one file of lines, for whoever verifies it

Promises: what `format_*` writes, `parse_*` reads back to the same value, and nothing else parses to it. What is not of
its form raises one exception of `ledger.errors` that names the place. Checks raise and return nothing.
"""

"""The decision: pure, exact and explained.

    request + facts + policy + now ──decide──▶ decision ──explain──▶ reasons for people

- `request`   what is asked (AuthZEN 1.0, read strictly)
- `facts`     what the ledger's state says about it; gathered by a service, passed in
- `clauses`   named predicates over request and facts, one rule each
- `policy`    a Casbin model and a table of rows over clauses; adopted by digest
- `decide`    allow needs a row that allows and none that denies; an error denies, and says so
- `explain`   each clause, held or not, in English and Ukrainian, with the ledger indexes it rests on
"""

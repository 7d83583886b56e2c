// AccessControl: the Windows access-control model (MS-DTYP) as values and pure functions.
//
// Standard library only: no files, no clock, no global state. Read in this order: `SID/`, `AccessMask/`,
// `SecurityDescriptor/`, `Token/`, `AccessCheck/`, `Inheritance/`; `SDDL/` and `Condition/` are the two
// languages. `docs/access-control.md` says which decisions were taken where the specification leaves room.

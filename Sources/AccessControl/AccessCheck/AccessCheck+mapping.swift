/// Objects of a kind that is known only when the program runs: their generic mapping comes with the question.
package enum RuntimeKind: ObjectKind {
    /// Nothing: the mapping that comes with the question counts.
    package static let genericMapping = GenericMapping(read: 0, write: 0, execute: 0, all: 0)
    /// None.
    package static var rightNames: [(name: String, mask: UInt32)] { [] }
}

extension AccessCheck where Kind == RuntimeKind {
    /// Decides with a mapping of the caller's.
    package static func decide(
        _ bytes: RawSpan, token: Token, desired: AccessMask<Kind>, mapping: GenericMapping, context: AccessContext
    ) throws(AccessCheckError) -> AccessDecision<Kind> {
        AccessDecision(try checkAccess(bytes, token, desired.rawValue, mapping, context))
    }

    /// Decides for each node of a tree, with a mapping of the caller's.
    package static func decideEach(
        _ bytes: RawSpan, token: Token, desired: AccessMask<Kind>, mapping: GenericMapping, tree: ObjectTree,
        context: AccessContext
    ) throws(AccessCheckError) -> [AccessDecision<Kind>] {
        try checkAccess(bytes, token, desired.rawValue, mapping, tree, context).map(AccessDecision.init)
    }
}

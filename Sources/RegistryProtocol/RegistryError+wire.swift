package import RegistryModel

extension WireRegistryRefusal {
    /// As it goes over the wire.
    package init(_ error: RegistryError) {
        self.init()
        code = error.wireCode
        // A sentence may quote what the client sent.
        message = String(error.description.prefix(1000))
    }
}

extension RegistryError {
    /// As it came over the wire; of a younger registry it may be a case that this side does not know.
    package init(_ wire: WireRegistryRefusal) {
        let cases = Self.cases
        let index = Int(wire.code) - 1
        self = cases.indices.contains(index) ? cases[index](wire.message) : .invalid(wire.message)
    }

    /// In the order of ``wireCode``.
    private static let cases: [@Sendable (String) -> RegistryError] = [
        { .keyNotFound($0) }, { .valueNotFound($0) }, { .accessDenied($0) }, { .privilegeNotHeld($0) },
        { .invalidName($0) }, { .nameTooLong($0) }, { .invalidPath($0) }, { .pathTooDeep($0) },
        { .valueTooLarge($0) }, { .wrongType($0) }, { .alreadyExists($0) }, { .keyDeleted($0) },
        { .hasSubkeys($0) }, { .childMustBeVolatile($0) }, { .linkUnresolved($0) }, { .invalidSecurity($0) },
        { .invalidHandle($0) }, { .conflict($0) }, { .transactionEnded($0) }, { .limitReached($0) },
        { .levelTooLow($0) }, { .invalid($0) }, { .notASavedKey($0) }, { .damaged($0) },
        { .storageFailed($0) },
        { .unavailable($0) },
    ]

    /// The number by which the wire has the case. A number keeps its meaning.
    fileprivate var wireCode: UInt32 {
        switch self {
        case .keyNotFound: 1
        case .valueNotFound: 2
        case .accessDenied: 3
        case .privilegeNotHeld: 4
        case .invalidName: 5
        case .nameTooLong: 6
        case .invalidPath: 7
        case .pathTooDeep: 8
        case .valueTooLarge: 9
        case .wrongType: 10
        case .alreadyExists: 11
        case .keyDeleted: 12
        case .hasSubkeys: 13
        case .childMustBeVolatile: 14
        case .linkUnresolved: 15
        case .invalidSecurity: 16
        case .invalidHandle: 17
        case .conflict: 18
        case .transactionEnded: 19
        case .limitReached: 20
        case .levelTooLow: 21
        case .invalid: 22
        case .notASavedKey: 23
        case .damaged: 24
        case .storageFailed: 25
        case .unavailable: 26
        }
    }
}

/// Why the registry did not do what it was asked. Every case carries one sentence for a person: what was refused, and what
/// to do about it. Nothing was changed.
public enum RegistryError: Error, Hashable, Sendable {
    /// There is no such key: make it, or look at the spelling. `ERROR_FILE_NOT_FOUND`.
    case keyNotFound(String)
    /// The key has no such value: set it, or have a default ready. `ERROR_FILE_NOT_FOUND`.
    case valueNotFound(String)
    /// The key's descriptor does not grant this: have its owner grant the right that the sentence names, or open the key
    /// for less. `ERROR_ACCESS_DENIED`.
    case accessDenied(String)
    /// The token does not hold a privilege that this takes: have it assigned, or enable it. `ERROR_PRIVILEGE_NOT_HELD`.
    case privilegeNotHeld(String)
    /// No key or value can have this name: choose another. `ERROR_INVALID_NAME`.
    case invalidName(String)
    /// The name is too long: shorten it. `ERROR_FILENAME_EXCED_RANGE`.
    case nameTooLong(String)
    /// The path does not begin with a hive: write one in front. `ERROR_BAD_PATHNAME`.
    case invalidPath(String)
    /// The path has more keys than a path may have: put the key nearer to its hive. `ERROR_BUFFER_OVERFLOW`.
    case pathTooDeep(String)
    /// The value is larger than this registry takes: keep it in a file and the file's path here, or have the limit raised.
    /// `ERROR_INSUFFICIENT_BUFFER`.
    case valueTooLarge(String)
    /// The value is of another type than was asked for: ask for that one, or set it anew. `ERROR_DATATYPE_MISMATCH`.
    case wrongType(String)
    /// There is a key of that name: choose another name, or delete that key first. `ERROR_ALREADY_EXISTS`.
    case alreadyExists(String)
    /// The key of this handle has been deleted: close the handle. `ERROR_KEY_DELETED`.
    case keyDeleted(String)
    /// The key has keys below it: delete the tree. `ERROR_KEY_HAS_CHILDREN`.
    case hasSubkeys(String)
    /// Below a volatile key there are volatile keys only: make this one volatile, too. `ERROR_CHILD_MUST_BE_VOLATILE`.
    case childMustBeVolatile(String)
    /// Links lead in a circle or to no key of the registry: change their targets. `ERROR_CANT_RESOLVE_FILENAME`.
    case linkUnresolved(String)
    /// The descriptor makes no sense, or the token may not set that owner or label: correct it.
    /// `ERROR_INVALID_SECURITY_DESCR`, `ERROR_INVALID_OWNER`.
    case invalidSecurity(String)
    /// The handle or transaction is closed, or was never open: open one. `ERROR_INVALID_HANDLE`.
    case invalidHandle(String)
    /// Somebody else has changed what the transaction read or changed: begin it anew. `ERROR_TRANSACTIONAL_CONFLICT`.
    case conflict(String)
    /// The transaction has ended: begin another. `ERROR_TRANSACTION_NOT_ACTIVE`.
    case transactionEnded(String)
    /// A limit on one client is reached: close what is not needed, or do less at once. `ERROR_NOT_ENOUGH_QUOTA`.
    case limitReached(String)
    /// The client did not let the registry know who it is: connect at level Identification or above.
    /// `ERROR_BAD_IMPERSONATION_LEVEL`.
    case levelTooLow(String)
    /// The request makes no sense: it is an error in the program. `ERROR_INVALID_PARAMETER`.
    case invalid(String)
    /// A file to restore from is no saved key: name another. `ERROR_NOT_REGISTRY_FILE`.
    case notASavedKey(String)
    /// The registry's database is damaged: restore it from a backup. `ERROR_REGISTRY_CORRUPT`.
    case damaged(String)
    /// The registry's database could not be read or written: look at the disk. `ERROR_REGISTRY_IO_FAILED`.
    case storageFailed(String)
    /// No registry answers, or it has stopped: start `registryd`, then open the keys anew. `RPC_S_SERVER_UNAVAILABLE`.
    case unavailable(String)

    /// The number of the Windows error that says the same (winerror.h).
    public var windowsCode: UInt32 {
        switch self {
        case .keyNotFound, .valueNotFound: 2
        case .accessDenied: 5
        case .invalidHandle: 6
        case .invalid: 87
        case .pathTooDeep: 111
        case .valueTooLarge: 122
        case .invalidName: 123
        case .invalidPath: 161
        case .alreadyExists: 183
        case .nameTooLong: 206
        case .damaged: 1015
        case .storageFailed: 1016
        case .notASavedKey: 1017
        case .keyDeleted: 1018
        case .hasSubkeys: 1020
        case .childMustBeVolatile: 1021
        case .privilegeNotHeld: 1314
        case .invalidSecurity: 1338
        case .levelTooLow: 1346
        case .wrongType: 1629
        case .unavailable: 1722
        case .limitReached: 1816
        case .linkUnresolved: 1921
        case .transactionEnded: 6701
        case .conflict: 6800
        }
    }
}

extension RegistryError: CustomStringConvertible {
    /// The sentence of the case.
    public var description: String {
        switch self {
        case .keyNotFound(let text), .valueNotFound(let text), .accessDenied(let text),
            .privilegeNotHeld(let text), .invalidName(let text), .nameTooLong(let text),
            .invalidPath(let text), .pathTooDeep(let text), .valueTooLarge(let text), .wrongType(let text),
            .alreadyExists(let text), .keyDeleted(let text), .hasSubkeys(let text),
            .childMustBeVolatile(let text), .linkUnresolved(let text), .invalidSecurity(let text),
            .invalidHandle(let text), .conflict(let text), .transactionEnded(let text),
            .limitReached(let text), .levelTooLow(let text), .invalid(let text), .notASavedKey(let text),
            .damaged(let text), .storageFailed(let text), .unavailable(let text):
            text
        }
    }
}

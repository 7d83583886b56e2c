import AccessControl
import CGuise
import Glibc
import Synchronization

/// The abstract names that an administrator registered, with who may listen there and who may connect.
///
/// The kernel gives such a name to whoever binds it first. So the authority has them bound from the start, and hands the
/// bound socket to the service that may listen: nobody can be quicker while the service is down.
final class RegisteredNames: Sendable {
    /// To listen: FILE_CREATE_PIPE_INSTANCE, as for named pipes. To connect: WRITE_DATA.
    static let listening: AccessMask<FileKind> = .appendData
    static let connecting: AccessMask<FileKind> = .writeData

    /// The types whose names are held. Of datagrams nobody is asked who reads them.
    private static let types = [SOCK_STREAM, SOCK_SEQPACKET].map { Int32($0.rawValue) }

    /// A name, of sockets of one type, that the authority has bound.
    private struct Held {
        let socket: OwnedDescriptor
        /// Who has it, too.
        weak var service: MediatedService?
        /// To whom it was let last.
        var user: SID?
    }

    private struct Entry {
        var descriptor: SecurityDescriptor
        var held: [Int32: Held] = [:]

        var services: [MediatedService] { held.values.compactMap(\.service).filter { !$0.hasEnded } }
    }

    private let state = Mutex<[[UInt8]: Entry]>([:])
    private let count = Atomic(0)

    /// Nothing is looked up while there are none.
    var isEmpty: Bool { count.load(ordering: .relaxed) == 0 }

    // MARK: What is registered

    /// Registers a name, or gives it another descriptor. Takes it, unless somebody has it; then as soon as it is free and
    /// asked for.
    ///
    /// - Returns: whether the authority has it.
    func set(_ name: String, _ descriptor: SecurityDescriptor) -> Bool {
        let name = Array(name.utf8)
        return state.withLock { state in
            state[name, default: Entry(descriptor: descriptor)].descriptor = descriptor
            count.store(state.count, ordering: .relaxed)
            return Self.types.count { Self.hold(name, $0, &state[name]!) } == Self.types.count
        }
    }

    func remove(_ name: String) {
        state.withLock { state in
            state[Array(name.utf8)] = nil
            count.store(state.count, ordering: .relaxed)
        }
    }

    /// Who may listen and connect; nil for a name that is not registered.
    func descriptor(of name: [UInt8]) -> SecurityDescriptor? {
        isEmpty ? nil : state.withLock { $0[name]?.descriptor }
    }

    /// Whether the authority has a name, and the services that have it, too.
    func holders(of name: String) -> (isHeld: Bool, services: [String]) {
        state.withLock { state in
            guard let entry = state[Array(name.utf8)] else { return (false, []) }
            return (
                entry.held.count == Self.types.count,
                Array(Set(entry.services.map(\.accountName))).sorted()
            )
        }
    }

    /// - Parameter user: to whom the name is to be let: another one than before gets another socket, and so does whoever
    ///   comes after one that was shut down or connected. Of the old one somebody may have kept a duplicate.
    private static func hold(
        _ name: [UInt8], _ type: Int32, _ entry: inout Entry, for user: SID? = nil
    ) -> Bool {
        let isFit = entry.held[type].map { held in
            user == nil || held.user ?? user == user && !guise_unix_is_spent(held.socket.number)
        }
        if isFit == true { return true }
        // Closed before the name is bound anew.
        entry.held[type] = nil
        let made = guise_unix_socket(type, false)
        guard made >= 0 else { return false }
        let socket = OwnedDescriptor(made)
        let error = name.withUnsafeBytes {
            guise_unix_bind_abstract(made, $0.baseAddress, name.count)
        }
        guard error == 0 else { return false }
        entry.held[type] = Held(socket: socket)
        return true
    }

    // MARK: Using a name

    /// The socket that has a name, for a service that may listen there.
    ///
    /// - Returns: nil for a type of which no name is held.
    /// - Throws: EADDRINUSE when another service has it, or somebody had it before the authority.
    func take(
        _ name: [UInt8], _ type: Int32, for service: MediatedService
    ) throws(FileError) -> OwnedDescriptor? {
        guard Self.types.contains(type) else { return nil }
        let result = state.withLock { state -> Result<OwnedDescriptor, FileError> in
            guard var entry = state.removeValue(forKey: name) else { return .failure(FileError(EADDRINUSE)) }
            defer { state[name] = entry }
            if let other = entry.held[type]?.service, other !== service, !other.hasEnded {
                return .failure(FileError(EADDRINUSE))
            }
            let user = service.logon.token.token.user
            guard Self.hold(name, type, &entry, for: user), let held = entry.held[type] else {
                return .failure(
                    FileError(EADDRINUSE, rule: "somebody else took the name before the authority"))
            }
            entry.held[type]?.service = service
            entry.held[type]?.user = user
            return .success(held.socket)
        }
        switch result {
        case .success(let socket): return socket
        case .failure(let error): throw error
        }
    }

    /// Throws unless a service listens at a name that was let: ECONNREFUSED when none does, EACCES when it is somebody
    /// who took the name.
    func checkServed(_ name: [UInt8], _ type: Int32) throws(FileError) {
        guard !isEmpty, Self.types.contains(type) else { return }
        let error = state.withLock { state -> FileError? in
            guard var entry = state[name] else { return nil }
            defer { state[name] = entry }
            guard Self.hold(name, type, &entry) else {
                return FileError(EACCES, rule: "somebody else took the name before the authority")
            }
            guard let service = entry.held[type]?.service, !service.hasEnded else {
                return FileError(ECONNREFUSED)
            }
            return nil
        }
        if let error { throw error }
    }
}

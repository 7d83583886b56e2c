// The fuzz target of the registry's requests: two clients without privileges send hostile bytes to sessions on one
// registry, in memory or with a database of its own. After each input nothing has changed, and nothing was told, that their
// descriptors do not grant; every request was answered that has an answer; limits held.

import AccessControl
import Glibc
import RegistryDaemon
import RegistryModel
import RegistryProtocol
import Synchronization

/// A registry with keys that clients may do everything with, may only read, and may not touch.
final class RequestFuzz {
    /// What no client may be told: a secret value, value's name, key's name and class, and a SID in a descriptor.
    private struct Secret {
        let text: String
        let sid: SID
        let sidBytes: [UInt8]

        init() throws {
            let parts = (0..<5).map { _ in UInt32.random(in: 0x1000_0000...(.max)) }
            text = parts.map { String($0, radix: 16) }.joined()
            sid = try SID(authority: 5, [21] + parts)
            sidBytes = parts.flatMap { number in (0..<4).map { UInt8(truncatingIfNeeded: number >> (8 * $0)) }
            }
        }
    }

    /// A key as SYSTEM sees it.
    private struct Planted: Equatable {
        let record: KeyRecord
        let values: [ValueRecord]
    }

    private let folder: String
    /// A registry on the database, which some inputs are played on; the others have one in memory, each its own.
    private let stored: RegistryEngine
    private let engineLimits: RegistryEngine.Limits
    private let limits: RegistrySession.Limits
    private let secret: Secret
    private let system: Caller
    private let clients: [Caller]
    private var inputs = 0

    init() throws {
        var template = Array("/tmp/guise-fuzz.XXXXXX\0".utf8CString)
        precondition(mkdtemp(&template) != nil)
        folder = String(decoding: template.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
        secret = try Secret()
        var engineLimits = RegistryEngine.Limits()
        (engineLimits.value, engineLimits.changes, engineLimits.changedBytes) = (2048, 60, 8192)
        var limits = RegistrySession.Limits()
        (limits.handles, limits.watches, limits.transactions) = (24, 4, 3)
        (limits.page, limits.pageBytes) = (5, 4096)
        (self.engineLimits, self.limits) = (engineLimits, limits)
        stored = try RegistryEngine(
            DatabaseStorage(path: folder + "/registry.db", durability: .process), limits: engineLimits)
        let domain = try SID(authority: 5, [21, 1, 2, 3])
        func caller(_ user: SID, _ groups: [SID], _ privileges: PrivilegeSet, _ integrity: IntegrityLevel)
            throws
            -> Caller
        {
            var fields = Token.Fields(user: user, integrity: integrity, logonSession: 7)
            fields.groups = ([.everyone, .authenticatedUsers] + groups).map { Token.Group($0) }
            fields.privileges = Token.Privileges(present: privileges, enabled: privileges)
            return Caller(token: try Token(fields))
        }
        system = try caller(.system, [.administrators], .all, .system)
        clients = try [1001, 1002].map { try caller(domain.appending($0), [], [], .medium) }
    }

    deinit { remove() }

    /// Takes the database away.
    func remove() {
        for file in ["registry.db", "registry.db-wal", "registry.db-shm"] { unlink(folder + "/" + file) }
        rmdir(folder)
    }

    // MARK: What is there

    /// Paths that no client may change; those it may not even read come first.
    private func sealed() -> [String] {
        [
            "Machine\\Secret", "Machine\\Secret\\\(secret.text)", "Machine\\Open\\Sealed",
            "Users\\\(secret.sid)",
            "Machine\\Readable", "Machine\\Readable\\Below",
        ]
    }

    private func plant(_ session: RegistrySession) throws {
        let alone = "O:SYG:SYD:P(A;;KA;;;SY)(A;;KR;;;\(secret.sid))"
        let descriptors = [
            "Machine\\Open": "O:SYG:SYD:P(A;CI;KA;;;WD)(A;CI;KA;;;SY)", "Machine\\Open\\Below": nil,
            "Machine\\Secret": alone, "Machine\\Secret\\\(secret.text)": alone,
            "Machine\\Open\\Sealed": alone,
            "Users\\\(secret.sid)": alone, "Machine\\Readable": "O:SYG:SYD:P(A;CI;KA;;;SY)(A;CI;KR;;;WD)",
            "Machine\\Readable\\Below": nil,
        ]
        for path in descriptors.keys.sorted() {
            let isSecret = sealed().prefix(4).contains(path)
            let key = try session.create(
                .init(RegistryPath(path)), .allAccess,
                className: path.hasSuffix(secret.text) ? secret.text : "",
                descriptor: try descriptors[path]!.map { try SecurityDescriptor(sddl: $0) }, as: system)
            try session.set(
                key.handle, RegistryValueName(isSecret ? secret.text : "v"),
                .binary(isSecret ? Array(secret.text.utf8) : [1, 2, 3]))
            session.close(key.handle)
        }
        let link = try session.create(
            .init(RegistryPath("Machine\\Link")), .allAccess, options: .createLink, as: system)
        try session.set(link.handle, .symbolicLink, .link("Machine\\Open"))
        session.close(link.handle)
    }

    private func uproot(_ session: RegistrySession) throws {
        for hive in ["Machine", "Users"] {
            let top = try session.open(.init(RegistryPath(hive)), .allAccess, as: system)
            while let key = try session.subkeys(top.handle, after: nil, limit: 1).first {
                try session.deleteAll(top.handle, key.name, as: system)
            }
            session.close(top.handle)
        }
    }

    private func look(_ session: RegistrySession) throws -> [Planted] {
        try (sealed() + ["Machine", "Users"]).map { path in
            let key = try session.open(
                .init(RegistryPath(path)), .allRead, options: .backupRestore, as: system)
            defer { session.close(key.handle) }
            var record = try session.information(key.handle)
            // That keys came and went below is told.
            if record.parent == 0 || path == "Users" { record.lastWrite = 0 }
            return Planted(record: record, values: try session.values(key.handle, after: nil))
        }
    }

    // MARK: Playing

    /// Plays an input: bytes for the one client's socket if its first byte is odd, else requests of both clients.
    func play(_ input: [UInt8]) throws {
        // Who guesses the secret may say it.
        guard !contains(input, Array(secret.text.utf8)), !contains(input, secret.sidBytes) else { return }
        let isStored = inputs % 100 == 99
        let engine = isStored ? stored : try RegistryEngine(MemoryStorage(), limits: engineLimits)
        let master = RegistrySession(engine)
        try plant(master)
        let before = try look(master)
        let players = clients.map { Player(RegistrySession(engine, limits: limits), $0) }
        for (player, bytes) in streams(input) { try serve(players[player], bytes) }
        for player in players { player.session.end() }
        let after = try look(master)
        precondition(after == before, "a client changed what it may not")
        inputs += 1
        guard isStored else { return }
        try uproot(master)
        let complaints = try engine.complaints()
        precondition(complaints.isEmpty, "\(complaints)")
    }

    /// The bytes as they come over sockets: as they are, or each request with a length that is right.
    private func streams(_ input: [UInt8]) -> [(player: Int, bytes: [UInt8])] {
        guard let first = input.first else { return [] }
        var rest = input.dropFirst()
        guard first & 1 == 0 else { return [(0, Array(rest))] }
        var out: [(player: Int, bytes: [UInt8])] = []
        // One byte says who, two how long.
        while let who = rest.popFirst(), let low = rest.popFirst(), let high = rest.popFirst() {
            let body = Array(rest.prefix(Int(low) | Int(high) << 8))
            rest = rest.dropFirst(body.count)
            let size = (0..<4).map { UInt8(truncatingIfNeeded: body.count >> (8 * $0)) }
            let player = Int(who & 1)
            if out.last?.player == player {
                out[out.count - 1].bytes += size + body
            } else {
                out.append((player, size + body))
            }
        }
        return out
    }

    private func serve(_ player: Player, _ bytes: [UInt8]) throws {
        var ends: [Int32] = [0, 0]
        precondition(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends) == 0)
        defer {
            close(ends[0])
            close(ends[1])
        }
        var room: Int32 = 1 << 20
        setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &room, socklen_t(MemoryLayout<Int32>.size))
        let sent = bytes.withUnsafeBytes {
            send(ends[0], $0.baseAddress, $0.count, Int32(MSG_DONTWAIT))
        }
        guard sent == bytes.count else { return }
        shutdown(ends[0], Int32(SHUT_WR))
        let frames = RegistryFrames(ends[1])
        while let request = try? frames.receive(WireRegistryRequest.self) {
            let answer = player.requests.answer(request)
            try check(answer, to: request, player)
        }
    }

    private func check(
        _ answer: WireRegistryAnswer?, to request: WireRegistryRequest, _ player: Player
    ) throws {
        switch request.body {
        case .close, .endWatch, .taken:
            if case .endWatch(let watch) = request.body { player.watches.remove(watch) }
            precondition(answer == nil)
            return
        default: break
        }
        guard let answer, let body = answer.body else { fatalError("no answer to \(request)") }
        precondition(answer.id == request.id)
        let bytes: [UInt8] = try answer.serializedBytes()
        precondition(bytes.count <= RegistryFrames.largest)
        precondition(
            !contains(bytes, Array(secret.text.utf8)) && !contains(bytes, secret.sidBytes),
            "\(request): \(answer)")
        switch body {
        case .refused(let refusal):
            precondition(
                refusal.code != 0 && !refusal.message.isEmpty && refusal.message.utf8.count < 200_000)
        case .opened(let opened):
            let path = try RegistryPath(opened.path)
            precondition(path.names.count < RegistryLimits.depth)
            let granted = RegistryAccess(rawValue: opened.granted)
            precondition(granted.isDisjoint(with: [.accessSystemSecurity, .maximumAllowed]))
        case .values(let list):
            precondition(list.values.count <= limits.page)
            precondition(list.values.allSatisfy { $0.data.count <= engineLimits.value })
        case .keys(let list): precondition(list.keys.count <= limits.page)
        case .watch(let watch): player.watches.insert(watch)
        case .value(let value): precondition(value.data.count <= engineLimits.value)
        default: break
        }
        precondition(player.session.handleCount <= limits.handles && player.watches.count <= limits.watches)
    }

    private func contains(_ bytes: [UInt8], _ wanted: [UInt8]) -> Bool {
        bytes.indices.contains { bytes[$0] == wanted[0] && bytes[$0...].starts(with: wanted) }
    }

    /// One client.
    private final class Player {
        let session: RegistrySession
        let requests: RegistryRequests
        var watches: Set<UInt64> = []

        init(_ session: RegistrySession, _ caller: Caller) {
            self.session = session
            requests = RegistryRequests(session, caller: { caller }, tell: { _, _ in }, settle: { _, _ in })
        }
    }
}

extension RegistrySession {
    /// Deletes a key and all below it, whatever was made of their descriptors, in parts that the limits allow.
    fileprivate func deleteAll(_ top: UInt64, _ name: RegistryKeyName, as caller: Caller) throws {
        let key = try open(.init(top, [name]), [], options: [.backupRestore, .openLink], as: caller)
        defer { close(key.handle) }
        let list = try open(
            .init(key.handle, []), .enumerateSubKeys, options: [.backupRestore, .openLink], as: caller)
        defer { close(list.handle) }
        while let below = try subkeys(list.handle, after: nil, limit: 1).first {
            try deleteAll(list.handle, below.name, as: caller)
        }
        let last = try open(.init(key.handle, []), .delete, options: [.backupRestore, .openLink], as: caller)
        try delete(last.handle, as: caller)
        close(last.handle)
    }
}

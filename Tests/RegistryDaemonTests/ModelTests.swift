import AccessControl
import Foundation
import RegistryModel
import Testing

@testable import RegistryDaemon

/// What the registry is to do, as simply as it can be said: paths and their values.
private struct Model: Equatable {
    var keys: Set<[String]> = []
    var values: [[String]: [String: String]] = [:]

    func children(_ path: [String]) -> [String] {
        keys.filter { $0.count == path.count + 1 && $0.starts(with: path) }.map { $0.last! }.sorted()
    }

    mutating func make(_ path: [String]) {
        for end in 1...path.count { keys.insert(Array(path[..<end])) }
    }

    mutating func delete(_ path: [String]) {
        keys = keys.filter { !$0.starts(with: path) }
        values = values.filter { !$0.key.starts(with: path) }
    }

    mutating func move(_ path: [String], to other: [String], keeping: Bool) {
        for key in keys where key.starts(with: path) {
            let new = other + key.dropFirst(path.count)
            keys.insert(new)
            if let kept = values[key] { values[new, default: [:]].merge(kept) { $1 } }
        }
        if !keeping { delete(path) }
    }
}

/// Random operations on a database and on the model, with transactions, and a crash now and then.
@Suite struct ModelTests {
    @Test func theRegistryDoesWhatTheModelSays() throws {
        let seed =
            ProcessInfo.processInfo.environment["GUISE_SEED"].flatMap { UInt64($0) }
            ?? .random(in: 0...(.max))
        let steps = ProcessInfo.processInfo.environment["GUISE_STEPS"].flatMap { Int($0) } ?? 4000
        print("registry model test: GUISE_SEED=\(seed)")
        var run = try Run(seed: seed)
        for step in 0..<steps {
            try run.step()
            if step % 50 == 0 { try run.compare("seed \(seed), step \(step)") }
        }
        try run.compare("seed \(seed), the end")
    }

    private struct Run {
        private let folder: Folder
        private var random: Generator
        private var session: RegistrySession
        private var model = Model()
        private var transaction: (number: UInt64, model: Model)?

        struct Generator: RandomNumberGenerator {
            var state: UInt64
            mutating func next() -> UInt64 {
                // SplitMix64.
                state &+= 0x9e37_79b9_7f4a_7c15
                var mixed = state
                mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
                mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
                return mixed ^ (mixed >> 31)
            }
        }

        init(seed: UInt64) throws {
            folder = try Folder()
            random = Generator(state: seed)
            session = try Self.open(folder)
        }

        private static func open(_ folder: Folder) throws -> RegistrySession {
            // The steps are many, and the disk is slow; a process's end loses nothing.
            let storage = try DatabaseStorage(path: folder.path + "/registry.db", durability: .process)
            var limits = RegistryEngine.Limits()
            // Small, so that much is forgotten and read again.
            limits.cachedBytes = 8192
            return RegistrySession(try RegistryEngine(storage, limits: limits))
        }

        private mutating func path() -> [String] {
            (0..<Int.random(in: 1...3, using: &random)).map { _ in
                ["A", "B", "C", "D"].randomElement(using: &random)!
            }
        }

        private var number: UInt64 { transaction?.number ?? 0 }
        private var state: Model {
            get { transaction?.model ?? model }
            set { if transaction != nil { transaction!.model = newValue } else { model = newValue } }
        }

        private func open(_ path: [String]) throws -> UInt64? {
            do throws(RegistryError) {
                let whole = try RegistryPath(
                    .machine, path.map { name throws(RegistryError) in try RegistryKeyName(name) })
                return try session.open(.init(whole, transaction: number), .allAccess, as: system).handle
            } catch {
                guard case .keyNotFound = error else { throw error }
                return nil
            }
        }

        mutating func step() throws {
            let path = path()
            let handle = try open(path)
            #expect((handle != nil) == state.keys.contains(path), "\(path)")
            defer { if let handle { session.close(handle) } }
            switch Int.random(in: 0..<100, using: &random) {
            case 0..<30:
                let whole = try RegistryPath(.machine, path.map { try RegistryKeyName($0) })
                session.close(
                    try session.create(.init(whole, transaction: number), .allAccess, as: system).handle)
                state.make(path)
            case 30..<60:
                guard let handle else { return }
                let (name, text) = (
                    ["", "v", "w"].randomElement(using: &random)!, String(random.next(), radix: 36)
                )
                try session.set(handle, value(name), .string(text))
                state.values[path, default: [:]][name] = text
            case 60..<66:
                guard let handle else { return }
                let name = ["", "v", "w"].randomElement(using: &random)!
                let refused = code { try session.deleteValue(handle, value(name)) }
                #expect((refused == nil) == (state.values[path]?[name] != nil))
                state.values[path]?[name] = nil
            case 66..<76:
                guard let handle else { return }
                let tree = Bool.random(using: &random)
                let refused = code { try session.delete(handle, tree: tree, as: system) }
                #expect(
                    (refused == nil) == (tree || state.children(path).isEmpty),
                    "\(String(describing: refused))")
                if refused == nil { state.delete(path) }
            case 76..<84:
                guard let handle else { return }
                let name = ["A", "B", "C", "D"].randomElement(using: &random)!
                let other = Array(path.dropLast()) + [name]
                let refused = code { try session.rename(handle, to: RegistryKeyName(name), as: system) }
                #expect((refused == nil) == (other == path || !state.keys.contains(other)))
                if refused == nil, other != path { state.move(path, to: other, keeping: false) }
            case 84..<89:
                let goal = self.path()
                guard let handle, let target = try open(goal), !goal.starts(with: path),
                    !path.starts(with: goal)
                else {
                    return
                }
                try session.copy(handle, [], to: target, as: system)
                session.close(target)
                state.move(path, to: goal, keeping: true)
            case 89..<95:
                if let ending = transaction {
                    transaction = nil
                    if Bool.random(using: &random) {
                        try session.commit(ending.number)
                        model = ending.model
                    } else {
                        try session.rollBack(ending.number)
                    }
                } else {
                    transaction = (try session.beginTransaction(), model)
                }
            case 95..<97:
                // As after a crash: what was not committed is gone.
                transaction = nil
                session = try Self.open(folder)
            default: break
            }
        }

        func compare(_ place: String) throws {
            try compare([], place)
        }

        private func compare(_ path: [String], _ place: String) throws {
            guard let handle = try open(path) else {
                throw RegistryError.invalid("\(path) is gone: \(place)")
            }
            defer { session.close(handle) }
            let names = try session.subkeys(handle, after: nil).map(\.name.text)
            #expect(names == state.children(path), "\(path): \(place)")
            let values = try session.values(handle, after: nil).map {
                ($0.name.text, RegistryValue(type: $0.type, bytes: $0.bytes).text ?? "?")
            }
            #expect(
                Dictionary(uniqueKeysWithValues: values) == state.values[path] ?? [:], "\(path): \(place)")
            for name in names { try compare(path + [name], place) }
        }
    }
}

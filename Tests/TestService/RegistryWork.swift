import Foundation
import Registry
import RegistryModel
import Synchronization

/// A process that does random things to keys of its own, and compares what it finds with what ought to be there: also when
/// the registry ends in the middle.
final class RegistryWork {
    /// Keys by their paths, with their values. Volatile keys go with the registry.
    private struct Model: Equatable {
        struct Key: Equatable {
            var isVolatile = false
            var values: [String: String] = [:]
        }
        var keys: [[String]: Key] = [:]

        func children(_ path: [String]) -> [String] {
            keys.keys.filter { $0.count == path.count + 1 && $0.starts(with: path) }.map { $0.last! }.sorted()
        }

        mutating func make(_ path: [String], isVolatile: Bool) {
            for end in 1...path.count where keys[Array(path[..<end])] == nil {
                keys[Array(path[..<end])] = Key(isVolatile: isVolatile)
            }
        }

        /// Whether a key of this path is volatile, or would have to be.
        func isVolatile(_ path: [String]) -> Bool {
            path.indices.contains { keys[Array(path[...$0])]?.isVolatile ?? false }
        }

        mutating func delete(_ path: [String]) { keys = keys.filter { !$0.key.starts(with: path) } }

        mutating func move(_ path: [String], to other: [String], keeping: Bool) {
            for (key, content) in keys.sorted(by: { $0.key.count < $1.key.count })
            where key.starts(with: path) {
                let new = other + key.dropFirst(path.count)
                // A copy below a volatile key is volatile; a key that was there stays as it is.
                let isVolatile = content.isVolatile || (keeping && self.isVolatile(new))
                if keys[new] == nil { keys[new] = Key(isVolatile: isVolatile) }
                keys[new]?.values.merge(content.values) { $1 }
            }
            if !keeping { delete(path) }
        }

        var afterEnd: Model { Model(keys: keys.filter { !$0.value.isVolatile }) }
    }

    /// Something is other than it ought to be.
    private struct Wrong: Error { let text: String }

    private let root = "CurrentUser\\Work"
    private let shared: String
    private let number: Int
    private var random: Generator
    private var model = Model()
    /// How many transfers this process has made for certain.
    private var transfers: UInt32 = 0
    private var counts: [String: Int] = [:]
    private var top: RegistryKey?
    private var watch: Watching?

    private struct Generator: RandomNumberGenerator {
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

    /// - Parameters:
    ///   - shared: a key with the values `v0` to `v7`, whose sum every transaction keeps.
    ///   - number: tells it from the others.
    init(seed: UInt64, shared: String, number: Int) {
        (random, self.shared, self.number) = (Generator(state: seed), shared, number)
    }

    /// Does so many steps, and says how often it did what.
    ///
    /// - Throws: when something was other than it ought to be.
    func run(steps: Int) throws -> String {
        try connect()
        try read { before in
            guard before.keys.isEmpty else { throw Wrong(text: "there was something before") }
        }
        for step in 0..<steps {
            do { try self.step() } catch let error as Wrong {
                throw Wrong(text: "step \(step): \(error.text)")
            } catch { throw Wrong(text: "step \(step): \(error)") }
            counts["steps", default: 0] += 1
            if step % 100 == 99 { try compare("after step \(step)") }
        }
        try compare("at the end")
        try checkTransfers(atMost: transfers)
        return counts.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(separator: " ")
    }

    // MARK: Steps

    private func step() throws {
        switch Int.random(in: 0..<100, using: &random) {
        case 0..<70:
            var after = model
            try committing(&after) { after throws in
                let change = self.change()
                return try change.carryOut(try open([], in: nil), &after, self)
            }
        case 70..<85: try transaction()
        case 85..<95: try transfer()
        default: try sum()
        }
    }

    /// Does something that commits once, or nothing. What its answer would have said is looked at when none comes.
    ///
    /// - Parameter body: changes the model as it ought to change the registry; says whether a watcher is told.
    private func committing(_ after: inout Model, _ body: (inout Model) throws -> Bool) throws {
        let seen = watch?.count ?? 0
        var hasChanged = false
        do { hasChanged = try body(&after) } catch let error as RegistryError {
            guard case .unavailable = error else { throw error }
            return try recover(model, after)
        }
        model = after
        guard hasChanged else { return }
        counts["commits", default: 0] += 1
        // A watcher that lived is told of every change.
        guard let watch, !watch.isOver else { return }
        guard watch.wait(for: seen + 1) else { throw Wrong(text: "a change was not told") }
        counts["told", default: 0] += 1
    }

    /// One change and what it does to the model.
    private enum Change {
        case make([String], isVolatile: Bool)
        case set([String], String, String)
        case unset([String], String)
        case delete([String], tree: Bool)
        case rename([String], String)
        case copy([String], to: [String])

        /// - Returns: whether whoever watches the top is told.
        func carryOut(_ top: RegistryKey, _ model: inout Model, _ work: RegistryWork) throws -> Bool {
            let before = model
            switch self {
            case .make(let path, let isVolatile):
                // The model first: it is what may have been done when there is no answer.
                let isRefused = !isVolatile && model.isVolatile(path) && model.keys[path] == nil
                if !isRefused { model.make(path, isVolatile: isVolatile) }
                try work.expect(isRefused ? 1021 : nil, "\(self)") {
                    _ = try top.create(RegistryWork.text(path), options: isVolatile ? .volatile : [])
                }
            case .set(let path, let name, let text):
                guard let key = try existing(path, top, model) else { return false }
                model.keys[path]?.values[name] = text
                try key.set(name, text)
                return true
            case .unset(let path, let name):
                guard let key = try existing(path, top, model) else { return false }
                let isThere = model.keys[path]?.values.removeValue(forKey: name) != nil
                try work.expect(isThere ? nil : 2, "\(self)") { try key.deleteValue(name) }
            case .delete(let path, let tree):
                guard try existing(path, top, model) != nil else { return false }
                let isRefused = !tree && !model.children(path).isEmpty
                if !isRefused { model.delete(path) }
                try work.expect(isRefused ? 1020 : nil, "\(self)") {
                    try top.delete(RegistryWork.text(path), tree: tree)
                }
            case .rename(let path, let name):
                guard let key = try existing(path, top, model) else { return false }
                let other = Array(path.dropLast()) + [name]
                let isRefused = other != path && model.keys[other] != nil
                if !isRefused, other != path { model.move(path, to: other, keeping: false) }
                try work.expect(isRefused ? 183 : nil, "\(self)") {
                    try key.rename(to: RegistryKeyName(name))
                }
            case .copy(let path, let goal):
                // A tree that was copied into itself again and again would be more than the registry changes at once.
                let size = model.keys.count { $0.key.starts(with: path) }
                guard model.keys.count + size <= 100, !goal.starts(with: path), !path.starts(with: goal),
                    let key = try existing(path, top, model), let target = try existing(goal, top, model)
                else { return false }
                model.move(path, to: goal, keeping: true)
                try key.copy(to: target)
            }
            return model != before
        }

        private func existing(
            _ path: [String], _ top: RegistryKey, _ model: Model
        ) throws -> RegistryKey? {
            do throws(RegistryError) {
                let key = try top.open(RegistryWork.text(path), for: .allAccess)
                guard model.keys[path] != nil else { throw .invalid("\(path) is there") }
                return key
            } catch {
                guard case .keyNotFound = error, model.keys[path] == nil else { throw error }
                return nil
            }
        }
    }

    private func change() -> Change {
        let path = path()
        switch Int.random(in: 0..<100, using: &random) {
        case 0..<30: return .make(path, isVolatile: Int.random(in: 0..<10, using: &random) == 0)
        case 30..<62:
            // Some of them larger than a page of the database.
            let size = Int.random(in: 0..<40, using: &random) == 0 ? 6000 : 1
            let text = String(repeating: String(random.next(), radix: 36), count: size)
            return .set(path, name(), text)
        case 62..<70: return .unset(path, name())
        case 70..<80: return .delete(path, tree: .random(using: &random))
        case 80..<90: return .rename(path, names.randomElement(using: &random)!)
        default: return .copy(path, to: self.path())
        }
    }

    private let names = ["A", "B", "C", "D"]
    private func name() -> String { ["", "v", "w"].randomElement(using: &random)! }
    private func path() -> [String] {
        (0..<Int.random(in: 1...3, using: &random)).map { _ in names.randomElement(using: &random)! }
    }

    /// Several changes at once.
    private func transaction() throws {
        var after = model
        let isKept = Int.random(in: 0..<4, using: &random) > 0
        let changes = (0..<Int.random(in: 1...6, using: &random)).map { _ in change() }
        counts["transactions", default: 0] += 1
        try committing(&after) { after throws in
            var inside = after
            let transaction = try RegistryTransaction()
            let top = try open([], in: transaction)
            for change in changes {
                _ = try change.carryOut(top, &inside, self)
                if Int.random(in: 0..<4, using: &random) == 0 {
                    guard try Self.tree(top) == inside else {
                        throw Wrong(text: "in a transaction there is something else")
                    }
                }
            }
            guard isKept else {
                try transaction.rollBack()
                return false
            }
            // From here on it may be done; until now nothing is.
            let isTold = inside != after
            after = inside
            try transaction.commit()
            return isTold
        }
    }

    /// Moves some of one shared value to another, with a mark of its own.
    private func transfer() throws {
        let places = (0..<8).shuffled(using: &random).prefix(2).map { "v\($0)" }
        let amount = UInt32.random(in: 0...9, using: &random)
        do {
            try RegistryTransaction.run(attempts: 1000) { transaction in
                let key = try RegistryKey.open(shared, for: .allAccess, in: transaction)
                let (from, to) = (try number(key, places[0]), try number(key, places[1]))
                let moved = min(from, amount)
                try key.set(places[0], from - moved)
                try key.set(places[1], to + moved)
                try key.set("done\(number)", transfers + 1)
            }
            transfers += 1
            counts["transfers", default: 0] += 1
        } catch let error as RegistryError {
            guard case .unavailable = error else { throw error }
            try recover(model, model)
            try checkTransfers(atMost: transfers + 1)
        }
    }

    /// The mark says how many transfers were made: those that were answered, and perhaps the one that was not.
    private func checkTransfers(atMost most: UInt32) throws {
        let found = try patiently {
            try number(try RegistryKey.open(shared, for: .allRead), "done\(number)")
        }
        guard (transfers...most).contains(found) else {
            throw Wrong(text: "\(found) transfers are there, \(transfers) were made")
        }
        transfers = found
    }

    private func number(_ key: RegistryKey, _ name: String) throws -> UInt32 {
        try key.get(name, as: UInt32.self) ?? 0
    }

    /// Nobody sees a part of a transfer: not in a transaction, and not in a list.
    private func sum() throws {
        do {
            try RegistryTransaction.run(attempts: 1000) { transaction in
                let key = try RegistryKey.open(shared, for: .allRead, in: transaction)
                var sum: UInt32 = 0
                for place in (0..<8).shuffled(using: &random) { sum += try number(key, "v\(place)") }
                guard sum == 800 else { throw Wrong(text: "in a transaction the sum is \(sum)") }
            }
            let list = try RegistryKey.open(shared, for: .allRead).values(after: nil)
            let sum = list.filter { $0.name.text.hasPrefix("v") }.reduce(0) { $0 + ($1.value.number ?? 0) }
            guard sum == 800 else { throw Wrong(text: "in a list the sum is \(sum)") }
            counts["sums", default: 0] += 1
        } catch let error as RegistryError {
            guard case .unavailable = error else { throw error }
            try recover(model, model)
        }
    }

    fileprivate func expect(_ code: UInt32?, _ what: String, _ body: () throws -> Void) throws {
        do {
            try body()
            guard code == nil else { throw Wrong(text: "\(what) was done, and \(code!) expected") }
        } catch let error as RegistryError {
            if case .unavailable = error { throw error }
            guard error.windowsCode == code else { throw Wrong(text: "\(what): \(error)") }
        }
    }

    // MARK: What is there

    /// The registry has ended: what was answered is there, what was not is there whole or not at all.
    private func recover(_ before: Model, _ after: Model) throws {
        counts["ends", default: 0] += 1
        try connect()
        try read { found in
            guard found == before.afterEnd || found == after.afterEnd else {
                throw Wrong(text: "after an end: \(Self.difference(found, before.afterEnd))")
            }
            model = found
            guard before != after else { return }
            counts[found == before.afterEnd ? "undone" : "done", default: 0] += 1
        }
    }

    private func compare(_ place: String) throws {
        try read { found in
            // It may just have ended.
            guard found == model || found == model.afterEnd else {
                throw Wrong(text: "\(place): \(Self.difference(found, model))")
            }
            model = found
        }
    }

    private static func difference(_ found: Model, _ expected: Model) -> String {
        let keys = Set(found.keys.keys).union(expected.keys.keys).filter {
            found.keys[$0] != expected.keys[$0]
        }
        return keys.prefix(3).map {
            "\($0): \(String(describing: found.keys[$0])), not \(String(describing: expected.keys[$0]))"
        }.joined(separator: "; ")
    }

    private func read(_ body: (Model) throws -> Void) throws {
        let found = try patiently { try Self.tree(try open([], in: nil)) }
        try body(found)
    }

    private static func tree(_ top: RegistryKey) throws -> Model {
        var model = Model()
        func read(_ key: RegistryKey, _ path: [String], _ isVolatile: Bool) throws {
            if !path.isEmpty {
                var content = Model.Key(isVolatile: isVolatile)
                for (name, value) in try key.values().map({ ($0.name, $0.value) }) {
                    content.values[name.text] = value.text ?? "?"
                }
                model.keys[path] = content
            }
            for below in try key.subkeys() {
                try read(try key.open(below.name.text), path + [below.name.text], below.isVolatile)
            }
        }
        try read(top, [], false)
        return model
    }

    private func open(_ path: [String], in transaction: RegistryTransaction?) throws -> RegistryKey {
        if transaction == nil, path.isEmpty, let top { return top }
        return try RegistryKey.open(
            ([root] + path).joined(separator: "\\"), for: .allAccess, in: transaction)
    }

    fileprivate static func text(_ path: [String]) -> String { path.joined(separator: "\\") }

    /// Opens the top key anew, and watches it.
    private func connect() throws {
        (top, watch) = (nil, nil)
        let key = try patiently { try RegistryKey.create(root) }
        (top, watch) = (key, try? Watching(key))
    }

    /// Until the registry is there.
    private func patiently<Result>(_ body: () throws -> Result) throws -> Result {
        let end = ContinuousClock.now + .seconds(60)
        while true {
            do { return try body() } catch let error as RegistryError {
                guard case .unavailable = error, .now < end else { throw error }
                top = nil
                if let key = try? RegistryKey.create(root) { (top, watch) = (key, try? Watching(key)) }
                usleep(5000)
            }
        }
    }
}

/// A watch, and how often it told.
final class Watching: Sendable {
    private struct State {
        var count = 0
        var isOver = false
    }
    private let state = Mutex(State())
    private let told = DispatchSemaphore(value: 0)
    private let task = Mutex<Task<Void, Never>?>(nil)

    init(_ key: RegistryKey) throws {
        let changes = try key.changes(includingSubtree: true)
        let task = Task { [weak self] in
            do {
                for try await _ in changes {
                    self?.note { $0.count += 1 }
                }
            } catch {}
            self?.note { $0.isOver = true }
        }
        self.task.withLock { $0 = task }
    }

    deinit { task.withLock { $0?.cancel() } }

    private func note(_ body: (inout State) -> Void) {
        state.withLock { body(&$0) }
        told.signal()
    }

    var count: Int { state.withLock { $0.count } }
    var isOver: Bool { state.withLock { $0.isOver } }

    /// Waits until it has told so often; false when it does not. One that is over tells no more, and that is no lie.
    func wait(for count: Int) -> Bool {
        while true {
            let (found, isOver) = state.withLock { ($0.count, $0.isOver) }
            if found >= count || isOver { return true }
            guard told.wait(timeout: .now() + 30) == .success else { return false }
        }
    }
}

/// Follows a key's value `n` for as long as it lives, whatever becomes of the registry.
final class Following: Sendable {
    private let seen = Mutex<UInt32>(0)
    private let told = DispatchSemaphore(value: 0)

    init(_ path: String) { Thread.detachNewThread { [self] in follow(path) } }

    private func follow(_ path: String) {
        while true {
            guard let key = try? RegistryKey.open(path), let watching = try? Watching(key) else {
                usleep(5000)
                continue
            }
            look(at: key, watching)
        }
    }

    /// Until the watch ends: looked at once it is there, and after each change.
    private func look(at key: RegistryKey, _ watching: Watching) {
        while !watching.isOver {
            let count = watching.count
            guard let now = try? key.get("n", as: UInt32.self) ?? 0 else { return }
            seen.withLock { $0 = now }
            told.signal()
            while !watching.wait(for: count + 1) {}
        }
    }

    /// Waits until it has seen so much.
    func wait(for number: UInt32) -> Bool {
        let end = DispatchTime.now() + 30
        while seen.withLock({ $0 }) < number {
            guard told.wait(timeout: end) == .success else { return false }
        }
        return true
    }
}

private let followings = Mutex<[String: Following]>([:])

extension Session {
    /// A process's own work on the registry.
    func registryWork(_ words: [String]) throws -> Outcome? {
        switch words[0] {
        case "registry-work":
            // registry-work SEED STEPS SHARED NUMBER
            let work = RegistryWork(seed: UInt64(words[1])!, shared: words[3], number: Int(words[4])!)
            return .value(try work.run(steps: Int(words[2])!))
        case "registry-follow":
            // registry-follow PATH
            followings.withLock { $0[words[1]] = Following(words[1]) }
            return .value("")
        case "registry-seen":
            // registry-seen PATH NUMBER
            let following = followings.withLock { $0[words[1]]! }
            return following.wait(for: UInt32(words[2])!) ? .value("seen") : .errno(ETIMEDOUT)
        case "registry-post":
            // registry-post PATH NUMBER: until the registry has answered that it is done
            while true {
                do throws(RegistryError) {
                    try RegistryKey.open(words[1], for: .setValue).set("n", UInt32(words[2])!)
                    return .value("")
                } catch {
                    guard case .unavailable = error else { throw error }
                    usleep(5000)
                }
            }
        default: return nil
        }
    }
}

import Dispatch
import Foundation
import Guise
import RegistryModel
import RegistryProtocol
import Synchronization
import SystemPackage

/// A connection to the registry, as one identity. Calls wait for their answers on the calling thread.
final class RegistryConnection: Sendable {
    private struct State: ~Copyable {
        var last: UInt32 = 0
        /// nil when a thread of its own reads, because events come as well.
        var frames: RegistryFrames?
        var isOver = false
        var waiting: [UInt32: Call] = [:]
        var watches: [UInt64: @Sendable (RegistryChangeKinds?) -> Void] = [:]
        /// What has no answer and no hurry, and goes with the next request: keys that are closed.
        var unsent: [UInt8] = []
        /// Events that came before the answer that names their watch.
        var early: [UInt64: RegistryChangeKinds] = [:]
    }

    /// A call that waits for the reading thread.
    private final class Call: Sendable {
        let done = DispatchSemaphore(value: 0)
        let answer = Mutex<WireRegistryAnswer?>(nil)
    }

    private let connection: Connection
    private let process = getpid()
    private let state: Mutex<State>

    init(_ connection: Connection) {
        self.connection = connection
        state = Mutex(State(frames: RegistryFrames(connection.fileDescriptor.rawValue)))
    }

    private var socket: Int32 { connection.fileDescriptor.rawValue }

    /// Whether it is of no use any more.
    var isOver: Bool { process != getpid() || state.withLock { $0.isOver } }

    private static let gone = RegistryError.unavailable(
        "the registry has ended, or has ended the connection: open the keys anew")

    /// Sends a request and waits for its answer.
    ///
    /// - Throws: what the registry refused; ``RegistryError/unavailable(_:)``.
    func call(
        _ key: UInt64, _ body: WireRegistryRequest.OneOf_Body
    ) throws(RegistryError) -> WireRegistryAnswer.OneOf_Body {
        guard process == getpid() else {
            throw .unavailable("this is a child made by fork: open its keys anew")
        }
        let (answer, waiting) = state.withLock { state -> (WireRegistryAnswer?, Call?) in
            guard !state.isOver else { return (nil, nil) }
            state.last &+= 1
            if state.last == 0 { state.last = 1 }
            let id = state.last
            let request = WireRegistryRequest.with {
                $0.id = id
                $0.key = key
                $0.body = body
            }
            guard (try? send(request, &state)) != nil else {
                // Why is said by what the registry sent before it closed.
                guard let frames = state.frames, let last = try? frames.receive(WireRegistryAnswer.self)
                else {
                    state.isOver = true
                    return (nil, nil)
                }
                state.isOver = true
                return (last, nil)
            }
            guard let frames = state.frames else {
                let call = Call()
                state.waiting[id] = call
                return (nil, call)
            }
            guard let answer = try? frames.receive(WireRegistryAnswer.self),
                answer.id == id || answer.id == 0
            else {
                state.isOver = true
                return (nil, nil)
            }
            // A refusal of the client as such, after which nothing comes.
            if answer.id == 0 { state.isOver = true }
            return (answer, nil)
        }
        if let waiting { waiting.done.wait() }
        guard let answer = answer ?? waiting?.answer.withLock({ $0 }), let body = answer.body else {
            throw Self.gone
        }
        if case .refused(let refusal) = body { throw RegistryError(refusal) }
        return body
    }

    /// Sends a request that has no answer; that a key is closed with the next one, or when some have been.
    func post(_ key: UInt64, _ body: WireRegistryRequest.OneOf_Body) {
        guard process == getpid() else { return }
        state.withLock { state in
            guard !state.isOver else { return }
            let request = WireRegistryRequest.with {
                $0.key = key
                $0.body = body
            }
            if case .close = body, state.unsent.count < 1024,
                let bytes = try? RegistryFrames.bytes(of: request)
            {
                state.unsent += bytes
                return
            }
            if (try? send(request, &state)) == nil, state.frames == nil { state.isOver = true }
        }
    }

    /// Sends a request, and before it what waits for one.
    private func send(
        _ request: WireRegistryRequest, _ state: inout State
    ) throws(RegistryFrames.Failure) {
        let bytes = try RegistryFrames.bytes(of: request)
        defer { state.unsent.removeAll(keepingCapacity: true) }
        try RegistryFrames.send(state.unsent + bytes, on: socket)
    }

    // MARK: Events

    /// Has events told, nil when there are no more; returns the watch's number.
    func watch(
        _ key: UInt64, _ wire: WireWatch, _ tell: @escaping @Sendable (RegistryChangeKinds?) -> Void
    ) throws(RegistryError) -> UInt64 {
        startReading()
        guard case .watch(let number) = try call(key, .watch(wire)) else { throw Self.gone }
        let (early, isOver) = state.withLock { state in
            if !state.isOver { state.watches[number] = tell }
            return (state.early.removeValue(forKey: number), state.isOver)
        }
        if let early { tell(early) }
        if isOver { tell(nil) }
        return number
    }

    func endWatch(_ number: UInt64) {
        state.withLock { _ = $0.watches.removeValue(forKey: number) }
        post(0, .endWatch(number))
    }

    private func startReading() {
        state.withLock { state in
            guard let frames = state.frames else { return }
            state.frames = nil
            let reader = Reader(frames)
            Thread.detachNewThread { [weak self, connection] in
                // Held, so that no other descriptor gets the number that is read from.
                withExtendedLifetime(connection) {
                    while let answer = try? reader.frames.receive(WireRegistryAnswer.self) {
                        guard let self else { return }
                        self.take(answer)
                    }
                }
                self?.finish()
            }
        }
    }

    /// Frames that one thread hands over to another.
    private struct Reader: @unchecked Sendable {
        let frames: RegistryFrames
        init(_ frames: RegistryFrames) { self.frames = frames }
    }

    private func take(_ answer: WireRegistryAnswer) {
        if case .event(let event) = answer.body {
            let kinds = RegistryChangeKinds(rawValue: event.kinds)
            let tell = state.withLock { state in
                let tell = state.watches[event.watch]
                if tell == nil { state.early[event.watch, default: []].formUnion(kinds) }
                return tell
            }
            tell?(kinds)
            return
        }
        guard let call = state.withLock({ $0.waiting.removeValue(forKey: answer.id) }) else { return }
        call.answer.withLock { $0 = answer }
        call.done.signal()
    }

    private func finish() {
        let (calls, watches) = state.withLock { state in
            state.isOver = true
            defer { (state.waiting, state.watches) = ([:], [:]) }
            return (Array(state.waiting.values), Array(state.watches.values))
        }
        for call in calls { call.done.signal() }
        for tell in watches { tell(nil) }
    }

    deinit { shutdown(socket, Int32(SHUT_RDWR)) }
}

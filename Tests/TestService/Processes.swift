import CGuise
import CTestSupport
import Foundation
import Guise
import GuiseProtocol
import Synchronization

extension Session {
    /// Threads, children, and system calls by number.
    func processes(_ words: [String]) throws -> Outcome? {
        switch words[0] {
        case "syscall": return Outcome(Self.call(Array(words[1...])))
        case "int80": return Outcome(test_int80())
        case "x32": return Outcome(test_x32())
        case "thread": return onAnotherThread(Array(words[1...]))
        case "all":
            // all COMMAND + COMMAND…: one after the other.
            return .value(
                words[1...].split(separator: "+").map { perform(Array($0)).line }.joined(separator: " | "))
        case "raw-thread":
            // Impersonates, runs a command if there is one, and ends the thread behind libc's back; its id.
            let connection = try captured()
            let command = Array(words[1...])
            let done = Mutex<Int32?>(nil)
            _ = onNewThread {
                try? connection.impersonate()
                if !command.isEmpty { _ = self.perform(command) }
                done.withLock { $0 = currentThreadID }
                test_raw_thread_exit()
            }
            while true {
                if let id = done.withLock({ $0 }) { return .value("\(id)") }
                usleep(1000)
            }
        case "fork", "raw-fork", "fork-revert":
            let command = Array(words[1...])
            return inChild(raw: words[0] == "raw-fork") {
                if words[0] == "fork-revert" { revertToSelf() }
                return self.perform(command)
            }
        case "prefork": return prefork(words[1])
        case "spawn": return Self.spawn(Array(words[1...]))
        case "exec-elsewhere":
            // Another thread replaces the process while this one stays what it is.
            let command = Array(words[1...])
            let out = socket
            _ = onNewThread {
                dup2(out, 1)
                var arguments: [UnsafeMutablePointer<CChar>?] = command.map { strdup($0) }
                arguments.append(nil)
                _ = test_exec(command[0], &arguments)
            }
            while true { sleep(1) }
        case "exec":
            dup2(socket, 1)
            var arguments: [UnsafeMutablePointer<CChar>?] = words[1...].map { strdup($0) }
            arguments.append(nil)
            return Outcome(Int(test_exec(words[1], &arguments)))
        case "slots":
            return .value(
                String(try page().map { page in (0..<page.count).count { page.tid(at: $0) != 0 } } ?? -1))
        case "forge": return try forge(words)
        case "forge-intent":
            // forge-intent NUMBER COMMAND…: the thread's slot holds this intent, whatever it means.
            guard let page = try page(), let slot = page.index(of: UInt32(currentThreadID)) else {
                return .errno(ENOENT)
            }
            guise_handle_store(page.handle(at: slot) + 3, UInt64(words[1])!)
            defer { guise_handle_store(page.handle(at: slot) + 3, 0) }
            return perform(Array(words[2...]))
        case "forge-trail": return forgeTrail(words)
        case "forge-thread": return try forgeThread(words)
        case "scribble": return try scribble(words)
        case "control": return try control(words)
        case "close-control":
            guard let own = Self.controlSocket() else { return .errno(ENOENT) }
            shutdown(own, Int32(SHUT_RDWR))
            return .value("")
        default: return nil
        }
    }

    /// `@text` is a string, `#n` a buffer of n zero bytes, anything else a number.
    static func call(_ words: [String]) -> Int {
        var arguments = [Int](repeating: 0, count: 6)
        var owned: [UnsafeMutableRawPointer] = []
        defer { owned.forEach { $0.deallocate() } }
        for (index, word) in words.dropFirst().enumerated() {
            if word.hasPrefix("@") || word.hasPrefix("#") {
                let text = Array(word.dropFirst().utf8)
                let size = word.hasPrefix("#") ? Int(word.dropFirst())! : text.count + 1
                let memory = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 16)
                memset(memory, 0, size)
                if word.hasPrefix("@") { memory.copyMemory(from: text, byteCount: text.count) }
                owned.append(memory)
                arguments[index] = Int(bitPattern: memory)
            } else {
                arguments[index] = Int(word) ?? Int(word.dropFirst(2), radix: 16)!
            }
        }
        return test_call(Int(words[0])!, arguments)
    }

    private func onAnotherThread(_ command: [String]) -> Outcome {
        let result = Mutex<Outcome?>(nil)
        guard
            let thread = onNewThread({
                let outcome = self.perform(command); result.withLock { $0 = outcome }
            })
        else { return .errno(EAGAIN) }
        pthread_join(thread, nil)
        return result.withLock { $0 } ?? .errno(ECANCELED)
    }

    /// Runs `body` in a child and returns what it came to there.
    private func inChild(raw: Bool, _ body: () -> Outcome) -> Outcome {
        var ends: [Int32] = [0, 0]
        guard pipe(&ends) == 0 else { return .errno(errno) }
        let child = raw ? test_raw_fork() : test_fork()
        guard child != 0 else {
            alarm(20)
            sendToPipe(body().line, ends[1])
            _exit(0)
        }
        close(ends[1])
        defer { close(ends[0]) }
        guard child > 0 else { return .errno(errno) }
        let text = Self.everything(from: ends[0])
        var status: Int32 = 0
        waitpid(child, &status, 0)
        return status & 0x7f == 0 ? .value(text) : .value("SIGNAL \(status & 0x7f)")
    }

    private func sendToPipe(_ text: String, _ descriptor: Int32) {
        _ = write(descriptor, text, text.utf8.count)
    }

    static func everything(from descriptor: Int32) -> String {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = read(descriptor, &buffer, buffer.count)
            guard count > 0 else { break }
            bytes += buffer[..<count]
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Makes a child that attaches by itself and serves at a socket of its own.
    private func prefork(_ path: String) -> Outcome {
        let child = test_fork()
        guard child == 0 else { return Outcome(Int(child)) }
        close(Server.listener)
        Server.run(path, options: [])
        _exit(0)
    }

    private static func spawn(_ command: [String]) -> Outcome {
        var ends: [Int32] = [0, 0]
        guard pipe(&ends) == 0 else { return .errno(errno) }
        var arguments: [UnsafeMutablePointer<CChar>?] = command.map { strdup($0) }
        arguments.append(nil)
        var environment: [UnsafeMutablePointer<CChar>?] = [nil]
        let child = test_spawn(command[0], &arguments, &environment, getpgrp(), -1, ends[1], 2)
        close(ends[1])
        defer { close(ends[0]) }
        guard child > 0 else { return .errno(-child) }
        let text = everything(from: ends[0])
        waitpid(child, nil, 0)
        return .value(text.trimmingCharacters(in: .newlines))
    }

    // MARK: A process that does not keep to the rules

    /// The identity page as this process has it mapped. Never call it while impersonating.
    func page() throws -> IdentityPage? {
        let maps = Files.open("/proc/self/maps", Int(O_RDONLY | O_CLOEXEC))
        defer { close(Int32(maps)) }
        for line in Self.everything(from: Int32(maps)).split(separator: "\n")
        where line.contains("memfd:guise-identity") {
            let ends = line.prefix { $0 != " " }.split(separator: "-").map { UInt(String($0), radix: 16)! }
            guard let count = IdentityPage.count(size: Int(ends[1] - ends[0])) else { continue }
            return IdentityPage(base: UnsafeMutableRawPointer(bitPattern: ends[0])!, count: count)
        }
        return nil
    }

    /// forge HANDLE COMMAND…: puts a number nobody gave it into its own slot, runs the command, takes it out.
    private func forge(_ words: [String]) throws -> Outcome {
        guard let page = try page(), let slot = page.claim(UInt32(currentThreadID)) else {
            return .errno(ENOENT)
        }
        let handle = page.handle(at: slot)
        guise_handle_store(handle, UInt64(words[1])!)
        defer { guise_handle_store(handle, 0) }
        return perform(Array(words[2...]))
    }

    /// forge-trail RECORD COMMAND…: runs the command on a thread that points at this record of its job. `zeros` is a
    /// record that names no executor, `kind` one that names something that only looks like one.
    private func forgeTrail(_ words: [String]) -> Outcome {
        guard let kind = guise_task_kind(), let word = guise_task_word() else { return .errno(ENOENT) }
        let executor = UnsafeMutablePointer<UInt>.allocate(capacity: 8)
        let record = UnsafeMutablePointer<UInt>.allocate(capacity: 16)
        executor.initialize(repeating: UInt(bitPattern: kind), count: 8)
        record.initialize(repeating: words[1] == "kind" ? UInt(bitPattern: executor) : 0, count: 16)
        let digits = words[1].hasPrefix("0x") ? UInt(words[1].dropFirst(2), radix: 16) : UInt(words[1])
        let before = word.pointee
        word.pointee = digits ?? UInt(bitPattern: record)
        let outcome = perform(Array(words[2...]))
        word.pointee = before
        executor.deallocate()
        record.deallocate()
        return outcome
    }

    /// forge-thread TID HANDLE: claims in its own page to speak for a thread of another process.
    private func forgeThread(_ words: [String]) throws -> Outcome {
        guard let page = try page(), let slot = page.claim(UInt32(words[1])!) else { return .errno(ENOENT) }
        guise_handle_store(page.handle(at: slot), UInt64(words[2])!)
        return .value("")
    }

    /// scribble SEED COMMAND…: fills its whole page with garbage but for its own slot, then runs the command.
    private func scribble(_ words: [String]) throws -> Outcome {
        guard let page = try page() else { return .errno(ENOENT) }
        var state = UInt64(words[1])! | 1
        let size = IdentityPage.size(count: page.count)
        let own = Self.call(["186"])
        for offset in stride(from: 0, to: size, by: 8) {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            page.base.storeBytes(of: state, toByteOffset: offset, as: UInt64.self)
        }
        // By chance the garbage may name this very thread; then the result would be chance too.
        for index in 0..<page.count where page.tid(at: index) == UInt32(own) { page.release(index) }
        let outcome = perform(Array(words[2...]))
        memset(page.base, 0, size)
        return outcome
    }

    /// This process's connection to the authority.
    static func controlSocket() -> Int32? {
        (3..<1024).first { descriptor in
            var name = [CChar](repeating: 0, count: 128)
            let length = guise_unix_peer_name(descriptor, &name, name.count)
            guard length > 0, length < 128 else { return false }
            return String(decoding: name[..<Int(length)].map(UInt8.init(bitPattern:)), as: UTF8.self)
                .hasSuffix("/" + ControlPacket.socketName)
        }
    }

    /// control BYTES-IN-HEX: sends these on the attached connection, behind the library's back, and says what
    /// came back.
    private func control(_ words: [String]) throws -> Outcome {
        guard let own = Self.controlSocket() else { return .errno(ENOENT) }
        let digits = Array(words[1].utf8)
        let bytes = stride(from: 0, to: digits.count, by: 2).map {
            UInt8(String(decoding: digits[$0..<$0 + 2], as: UTF8.self), radix: 16)!
        }
        let sent = bytes.withUnsafeBytes { send(own, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
        guard sent >= 0 else { return .errno(errno) }
        do throws(ControlPacket.Failure) {
            let received = try ControlPacket.receive(WireResponse.self, from: own)
            if let descriptor = received.descriptor { close(descriptor) }
            if case .refusal(let refusal) = received.message.body { return .value("\(refusal.reason)") }
            return .value("answered")
        } catch { return .value("\(error)") }
    }
}

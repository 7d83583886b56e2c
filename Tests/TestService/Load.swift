import CGuise
import CTestSupport
import Foundation
import Guise
import Synchronization

extension Session {
    /// Many times over.
    func load(_ words: [String]) throws -> Outcome? {
        switch words[0] {
        case "spin":
            // Impersonate and revert, which must not make a system call.
            let connection = try captured()
            try connection.impersonate()
            revertToSelf()
            for _ in 0..<Int(words[1])! {
                try connection.impersonate()
                revertToSelf()
            }
            return .value("")
        case "storm":
            // storm ROUNDS OWN CONTENT OTHER: own file yes, other's no, and after the revert neither.
            return try storm(rounds: Int(words[1])!, own: words[2], content: words[3], other: words[4])
        case "storm-of":
            return try storm(
                rounds: Int(words[1])!, own: words[3], content: "of \(words[2])", other: words[4])
        case "hammer":
            // hammer SECONDS OWN CONTENT OTHER FLAGFILE: as storm until the time is over; errors are fine,
            // access is not.
            return try hammer(seconds: Double(words[1])!, own: words[2], content: words[3], other: words[4])
        case "cat-until-leak":
            // cat-until-leak TIMES SECRET PATH: opens PATH again and again; the secret must never come.
            for round in 0..<Int(words[1])! {
                if case .value(let text) = Files.cat(words[3]), text.contains(words[2]) {
                    return .value("leak \(round)")
                }
            }
            return .value("none")
        case "probe":
            // probe PATH FLAGS: opens and closes, or asks for what a path is where the flags are "stat".
            guard words[2] != "stat" else {
                var status = stat()
                return lstat(words[1], &status) == 0 ? .value("0") : .errno(errno)
            }
            let descriptor = Files.open(words[1], Int(words[2])! | Int(O_CLOEXEC))
            guard descriptor >= 0 else { return Outcome(descriptor) }
            close(Int32(descriptor))
            return .value("0")
        case "attach-children": return attachChildren(Int(words[1])!)
        case "hold-threads": return try holdThreads(Int(words[1])!)
        default: return nil
        }
    }

    private func storm(rounds: Int, own: String, content: String, other: String) throws -> Outcome {
        let connection = try captured()
        for round in 0..<rounds {
            try connection.impersonate()
            let mine = Files.cat(own)
            let theirs = Files.open(other, Int(O_RDONLY | O_CLOEXEC))
            revertToSelf()
            let asService = Files.open(own, Int(O_RDONLY | O_CLOEXEC))
            guard case .value(content) = mine, theirs == -Int(EACCES), asService == -Int(EACCES) else {
                return .value("round \(round): own \(mine.line), other \(theirs), as service \(asService)")
            }
        }
        return .value("clean")
    }

    private func hammer(seconds: Double, own: String, content: String, other: String) throws -> Outcome {
        let end = Date().addingTimeInterval(seconds)
        let connection = try captured()
        var (worked, failed) = (0, 0)
        while Date() < end {
            guard (try? connection.impersonate()) != nil else {
                failed += 1
                usleep(1000)
                continue
            }
            let mine = Files.cat(own)
            let theirs = Files.open(other, Int(O_RDONLY | O_CLOEXEC))
            revertToSelf()
            let asService = Files.open(own, Int(O_RDONLY | O_CLOEXEC))
            if theirs >= 0 || asService >= 0 { return .value("access") }
            switch mine {
            case .value(content): worked += 1
            case .value(let text): return .value("wrong content \(text)")
            default: failed += 1
            }
        }
        return .value("worked \(worked > 0) failed \(failed > 0)")
    }

    /// Children that attach and stay until all have; how many did.
    private func attachChildren(_ count: Int) -> Outcome {
        var done: [Int32] = [0, 0]
        var go: [Int32] = [0, 0]
        guard pipe(&done) == 0, pipe(&go) == 0 else { return .errno(errno) }
        var children: [pid_t] = []
        for _ in 0..<count {
            let child = test_fork()
            if child == 0 {
                alarm(120)
                close(done[0])
                close(go[1])
                let attached = (try? Authority.attach(threads: 1)) != nil
                var answer: UInt8 = attached ? 1 : 0
                write(done[1], &answer, 1)
                read(go[0], &answer, 1)
                _exit(0)
            }
            guard child > 0 else { break }
            children.append(child)
        }
        close(done[1])
        close(go[0])
        var attached = 0
        var answer: UInt8 = 0
        for _ in children where read(done[0], &answer, 1) == 1 { attached += Int(answer) }
        close(done[0])
        close(go[1])
        for child in children { waitpid(child, nil, 0) }
        return .value("\(attached)")
    }

    /// So many threads that impersonate at once; how many could.
    private func holdThreads(_ count: Int) throws -> Outcome {
        let connection = try captured()
        let state = Mutex((could: 0, tried: 0, refusals: Set<String>()))
        let release = Mutex(false)
        var threads: [pthread_t] = []
        for _ in 0..<count {
            let thread = onNewThread {
                do throws(GuiseError) {
                    try connection.impersonate()
                    state.withLock {
                        $0.could += 1; $0.tried += 1
                    }
                } catch {
                    let name = Mirror(reflecting: error).children.first?.label ?? "?"
                    state.withLock {
                        $0.tried += 1; $0.refusals.insert(name)
                    }
                }
                while !release.withLock({ $0 }) { usleep(2000) }
            }
            if let thread { threads.append(thread) }
        }
        while state.withLock({ $0.tried }) < threads.count { usleep(1000) }
        release.withLock { $0 = true }
        for thread in threads { pthread_join(thread, nil) }
        return state.withLock { .value("\($0.could) \($0.refusals.sorted().joined(separator: ","))") }
    }
}

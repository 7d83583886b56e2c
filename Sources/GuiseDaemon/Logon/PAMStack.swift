import CGuise
import Glibc

/// The PAM stack of the service `guise` (pam(8)), which says whether a password is one of the machine's own users'.
///
/// Each question is put by a process of its own, guise-pam: the modules of a stack may block, crash, fork or change what
/// process they are in.
package struct PAMStack: Sendable {
    /// Of the file in the configuration, which the administrator makes. What all other services are configured by
    /// (`other`) does not count: that the machine's users may log on here is said on purpose.
    static let service = "guise"
    /// How long PAM may take. Modules that ask other machines try several of them.
    static let largestTime = Duration.seconds(15)
    /// As much as a pipe takes at once, which guise-pam knows, too.
    private static let largestMessage = 4096

    /// Where the configuration lies; nil: where the machine has it.
    private let directory: String?
    private let worker: String

    /// - Parameter directory: an absolute path; nil: where the machine has its configuration.
    package init(directory: String? = nil) {
        self.directory = directory
        worker = Self.worker
    }

    /// Beside the authority's own program.
    private static let worker: String = {
        var path = [UInt8](repeating: 0, count: 4096)
        let length = readlink("/proc/self/exe", &path, path.count)
        let own = String(decoding: path.prefix(max(0, length)), as: UTF8.self)
        return own[..<(own.lastIndex(of: "/") ?? own.startIndex)] + "/guise-pam"
    }()

    /// Why nobody can be asked about, one sentence; nil: they can. Looks at two files of the machine's.
    var defect: String? {
        guard AuthorityUser.isRoot else {
            return "the authority runs without root, and only root can ask PAM about others"
        }
        guard access(worker, X_OK) == 0 else { return "there is no \(worker), by which PAM is asked" }
        // The second is where distributions have what the first may replace.
        let directories = directory.map { [$0] } ?? ["/etc/pam.d", "/usr/lib/pam.d"]
        guard directories.contains(where: { access($0 + "/" + Self.service, R_OK) == 0 }) else {
            return "there is no \(directories[0])/\(Self.service)"
        }
        return nil
    }

    /// What came of a question.
    struct Answer: Equatable {
        enum Outcome: String {
            case right
            /// The name or the password, or the stack wants more than a password.
            case wrong
            /// The password was right, and the account has expired.
            case expired
            /// The password was right, and must be changed.
            case change
            /// The password was right, and the account may not log on.
            case closed
            /// PAM does not work, or the process that asked it did not.
            case failed
            /// There was none in time.
            case late
        }
        let outcome: Outcome
        /// Who the user is for PAM in the end.
        var user = ""
        /// Which call failed, how, and what the modules had to say about it.
        var account = ""
    }

    /// Asks about a user's password. Takes as long as the stack takes, ``largestTime`` at most.
    ///
    /// - Parameters:
    ///   - user: a name without a zero byte, of 255 bytes at most.
    ///   - asker: who wants to know (`PAM_RUSER`).
    func ask(_ user: String, _ password: Password, for asker: String) -> Answer {
        var (question, answer) = (Int32(-1), Int32(-1))
        let process = guise_worker_start(worker, &question, &answer)
        guard process > 0 else { return Self.failure("starting \(worker)", -process) }
        defer { close(answer) }
        put([directory ?? "", Self.service, user, asker], password, into: question)
        close(question)
        let isInTime = Self.waitForEnd(of: process)
        var status: Int32 = 0
        let error = guise_worker_end(process, &status)
        guard isInTime else { return Answer(outcome: .late, account: "guise-pam was ended") }
        guard error == 0 else { return Self.failure("waitpid", -error) }
        guard status == 0 else {
            let signal = status & 0x7f
            return Answer(
                outcome: .failed,
                account: "guise-pam ended " + (signal == 0 ? "with \(status >> 8)" : "by signal \(signal)"))
        }
        return Self.read(from: answer)
    }

    private static func failure(_ call: String, _ error: Int32) -> Answer {
        Answer(outcome: .failed, account: "\(call): \(errnoText(error))")
    }

    /// Writes the question, which waits for nobody: the pipe has room for it.
    private func put(_ texts: [String], _ password: Password, into pipe: Int32) {
        withUnsafeTemporaryAllocation(byteCount: Self.largestMessage, alignment: 1) { bytes in
            var length = 0
            func add(_ part: UnsafeRawBufferPointer) {
                guard length + part.count < bytes.count else { return }
                UnsafeMutableRawBufferPointer(rebasing: bytes[length...]).copyMemory(from: part)
                bytes[length + part.count] = 0
                length += part.count + 1
            }
            for text in texts { Array(text.utf8).withUnsafeBytes(add) }
            password.withBytes(add)
            // Who is gone already does not answer.
            _ = write(pipe, bytes.baseAddress, length)
            guise_wipe(bytes.baseAddress, bytes.count)
        }
    }

    /// Waits until the process has ended; false when it takes too long.
    private static func waitForEnd(of process: Int32) -> Bool {
        let descriptor = guise_pidfd_open(process, false)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        let clock = SuspendingClock()
        let deadline = clock.now + largestTime
        while true {
            let rest = max(.zero, deadline - clock.now).components
            var poll = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            let count = Glibc.poll(
                &poll, 1, Int32(rest.seconds * 1000 + rest.attoseconds / 1_000_000_000_000_000) + 1)
            if count > 0 { return true }
            if clock.now >= deadline { return false }
        }
    }

    /// What a process left that has ended.
    private static func read(from pipe: Int32) -> Answer {
        var bytes = [UInt8](repeating: 0, count: largestMessage)
        let length = Glibc.read(pipe, &bytes, bytes.count)
        let parts = bytes.prefix(max(0, length)).split(separator: 0, omittingEmptySubsequences: false).map {
            String(decoding: $0, as: UTF8.self)
        }
        guard parts.count == 4, parts[3].isEmpty, let outcome = Answer.Outcome(rawValue: parts[0]),
            outcome != .late
        else { return Answer(outcome: .failed, account: "guise-pam said nothing that makes sense") }
        return Answer(outcome: outcome, user: parts[1], account: parts[2])
    }
}

import CGuise
import CTestSupport
import Foundation

/// What went wrong with a test's own machinery, or took too long.
struct HarnessError: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// A pipe whose ends no other child inherits.
struct Channel {
    let reading: Int32
    let writing: Int32

    init() throws {
        var ends: [Int32] = [0, 0]
        guard test_pipe(&ends) == 0 else { throw HarnessError("no pipe") }
        (reading, writing) = (ends[0], ends[1])
    }
}

/// A process that the test started, in the process group of its stage.
final class ChildProcess {
    let pid: pid_t
    private var status: Int32?

    /// - Parameters:
    ///   - group: 0 for a group of its own.
    ///   - streams: standard input, output and error; -1 for /dev/null.
    init(
        _ command: [String], environment: [String: String] = [:], group: pid_t,
        streams: (Int32, Int32, Int32) = (-1, -1, -1)
    ) throws {
        var arguments: [UnsafeMutablePointer<CChar>?] = command.map { strdup($0) } + [nil]
        var variables = ["PATH": "/usr/sbin:/usr/bin:/sbin:/bin"].merging(environment) { $1 }
            .map { strdup("\($0.key)=\($0.value)") as UnsafeMutablePointer<CChar>? }
        variables.append(nil)
        defer { (arguments + variables).forEach { free($0) } }
        pid = test_spawn(command[0], &arguments, &variables, group, streams.0, streams.1, streams.2)
        guard pid > 0 else { throw HarnessError("starting \(command[0]): errno \(-pid)") }
    }

    func signal(_ number: Int32) { if status == nil { kill(pid, number) } }

    var hasEnded: Bool {
        if status == nil {
            var found: Int32 = 0
            if waitpid(pid, &found, WNOHANG) == pid { status = found }
        }
        return status != nil
    }

    /// Waits for the end. Returns the exit code, or minus the signal.
    @discardableResult
    func wait(seconds: Double = 20) throws -> Int32 {
        try eventually("the end of process \(pid)", seconds: seconds) { hasEnded }
        let status = status!
        return status & 0x7f == 0 ? (status >> 8) & 0xff : -(status & 0x7f)
    }

    func end() {
        signal(SIGKILL)
        _ = try? wait()
    }
}

/// Waits until something is so.
func eventually(_ what: String, seconds: Double = 10, _ isSo: () throws -> Bool) throws {
    let end = Date().addingTimeInterval(seconds)
    while try !isSo() {
        guard Date() < end else { throw HarnessError("waited \(seconds) s in vain for \(what)") }
        usleep(2000)
    }
}

/// Where the products of this build are.
let buildDirectory: String = {
    var path = [CChar](repeating: 0, count: 4096)
    let length = readlink("/proc/self/exe", &path, path.count)
    let own = String(decoding: path[..<max(0, length)].map(UInt8.init(bitPattern:)), as: UTF8.self)
    return (own as NSString).deletingLastPathComponent
}()

func product(_ name: String) -> String { buildDirectory + "/" + name }

import ArgumentParser
import Guise
import ToolSupport

/// `PID` or `PID/TID`.
struct Target: ExpressibleByArgument, Equatable {
    let process: UInt32
    let thread: UInt32?

    init(process: UInt32, thread: UInt32?) {
        self.process = process
        self.thread = thread
    }

    init?(argument: String) {
        let parts = argument.split(separator: "/", omittingEmptySubsequences: false)
        guard (1...2).contains(parts.count), let process = Self.id(parts[0]) else { return nil }
        self.process = process
        guard parts.count == 2 else {
            thread = nil
            return
        }
        guard let thread = Self.id(parts[1]) else { return nil }
        self.thread = thread
    }

    private static func id(_ text: Substring) -> UInt32? {
        guard text.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let id = UInt32(text), id > 0 else {
            return nil
        }
        return id
    }
}

/// Whom a command is about.
struct SubjectOptions: ParsableArguments {
    @Argument(help: ArgumentHelp("The process, or one of its threads; else you.", valueName: "pid[/tid]"))
    var target: Target?

    func identity(_ runtime: RuntimeOptions) throws -> Identity {
        try runtime.connect().identity(of: target)
    }
}

extension AuthorityClient {
    /// Who a process or a thread is; the caller without a target.
    func identity(of target: Target?) throws -> Identity {
        try identity(ofProcess: target?.process ?? 0, thread: target?.thread ?? 0)
    }
}

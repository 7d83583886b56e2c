import CGuise
import Foundation
import Guise
import GuiseProtocol
import Synchronization
import ToolSupport

/// Whether an authority runs, and how it is.
enum AuthorityExamination {
    /// What came of asking.
    enum Answer: Sendable {
        case none(String)
        /// It does not know the question.
        case older(String)
        case status(WireAuthorityStatus, [WireRoot])
    }

    /// - Parameter places: folders that might become managed roots.
    static func findings(_ answer: Answer, places: [String]) -> [Finding] {
        let purpose = "accounts, tokens, mediation"
        switch answer {
        case .none(let why):
            return [
                Finding(
                    "authority", .missing, for: purpose, detail: why,
                    remedy: "start guised, or name its directory with --runtime")
            ] + candidates(places, [])
        case .older(let why):
            return [
                Finding(
                    "authority", .limited, for: purpose, detail: why,
                    remedy: "run the guised of version \(guiseVersion)")
            ] + candidates(places, [])
        case .status(let status, let roots):
            return [running(status), mode(status)] + KernelExamination.tracing(isRootless: status.hasRootless)
                + [namespaces(status), state(status), pam(status)]
                + roots.map { root in
                    FileSystemExamination.root(
                        root.path, isUnavailable: status.unavailableRoots.contains(root.path),
                        isRootless: status.hasRootless)
                } + candidates(places, roots)
        }
    }

    /// Asks the authority of a runtime directory; one that does not answer in time is not there.
    static func ask(_ directory: String?, seconds: Int = 10) -> Answer {
        let answered = DispatchSemaphore(value: 0)
        let answer = Answered()
        Thread.detachNewThread {
            answer.value.withLock { $0 = ask(directory) }
            answered.signal()
        }
        guard answered.wait(timeout: .now() + .seconds(seconds)) == .success else {
            return .none("it does not answer in \(seconds) s")
        }
        return answer.value.withLock { $0 }
    }

    private final class Answered: Sendable {
        let value = Mutex(Answer.none(""))
    }

    private static func ask(_ directory: String?) -> Answer {
        do throws(GuiseError) {
            let authority = try AuthorityClient(runtimeDirectory: directory)
            guard case .status(let status) = try authority.call(.status(.init())),
                case .roots(let list) = try authority.call(.rootList(.init()))
            else { return .older("its answer makes no sense") }
            return .status(status, list.roots)
        } catch .invalid(let why) {
            return .older(why)
        } catch {
            return .none(error.description)
        }
    }

    private static func candidates(_ places: [String], _ roots: [WireRoot]) -> [Finding] {
        let places = places.isEmpty && roots.isEmpty ? [FileSystemExamination.usualPlace] : places
        return places.map(FileSystemExamination.candidate)
    }

    static func running(_ status: WireAuthorityStatus) -> Finding {
        let since = Moment(milliseconds: status.since)
        return Finding(
            "authority", status.version == guiseVersion ? .ok : .limited, for: "accounts, tokens, mediation",
            detail: "guised \(status.version), process \(status.process), since \(since)",
            remedy: "run guised and guise of the same version; this is \(guiseVersion)")
    }

    /// Whom the authority can act for.
    static func mode(_ status: WireAuthorityStatus) -> Finding {
        guard status.hasRootless else {
            return Finding(
                "mode", .ok, for: "acting as any client, everywhere", detail: "the authority is root")
        }
        return Finding(
            "mode", .limited, for: "acting as any client, everywhere",
            detail:
                "the authority runs without root, as uid \(status.rootless): clients are acted for under managed"
                + " roots alone, by services of that user's",
            remedy: "run guised as root")
    }

    static func namespaces(_ status: WireAuthorityStatus) -> Finding {
        let others = status.otherNamespaces
        return Finding(
            "namespaces", others.isEmpty ? .ok : .missing, for: "starting services from here",
            detail: others.isEmpty ? nil : "not the authority's here: \(others.joined(separator: ", "))",
            remedy: "run `guise run` where guised runs, outside of the container")
    }

    static func state(_ status: WireAuthorityStatus) -> Finding {
        let purpose = "accounts and managed roots that outlive a restart"
        guard !status.state.isEmpty else {
            return Finding(
                "state", .limited, for: purpose, detail: "only administrators are told how it is",
                remedy: "run `guise doctor` as root")
        }
        return Finding(
            "state", status.stateDefect.isEmpty ? .ok : .missing, for: purpose,
            detail: status.stateDefect.isEmpty ? status.state : status.stateDefect,
            remedy: "put it in order and start guised anew")
    }

    static func pam(_ status: WireAuthorityStatus) -> Finding {
        Finding(
            "pam", status.pamDefect.isEmpty ? .ok : .limited, required: false,
            for: "logging the machine's own users on by password",
            detail: status.pamDefect.isEmpty ? nil : status.pamDefect,
            remedy: status.hasRootless
                ? "run guised as root" : "see docs/accounts.md, and give accounts passwords meanwhile")
    }

    /// The journal takes what guised says, its audit among it.
    static func journal(_ path: String = "/run/systemd/journal/socket") -> Finding {
        let socket = guise_unix_socket(Int32(SOCK_DGRAM.rawValue), true)
        defer { if socket >= 0 { close(socket) } }
        return Finding(
            "journal", of: socket < 0 ? socket : guise_unix_connect(socket, path, path.utf8.count),
            for: "keeping what guised logs, its audit among it",
            without: "keep guised's standard error otherwise",
            remedy: "run guised as a unit of systemd, with systemd-journald")
    }
}

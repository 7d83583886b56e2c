import CGuise
import Glibc
import Guise
import GuiseProtocol
import ToolSupport

/// Whether an authority runs, and how it is.
enum AuthorityExamination {
    /// - Parameter places: folders that might become managed roots.
    static func findings(_ runtime: RuntimeOptions, places: [String]) -> [Finding] {
        let authority: AuthorityClient
        let status: WireAuthorityStatus
        var roots: [WireRoot] = []
        do {
            authority = try runtime.connect()
        } catch {
            return [
                Finding(
                    "authority", .missing, for: "accounts, tokens, mediation", detail: error.description,
                    remedy: "start guised, or name its directory with --runtime")
            ] + candidates(places, roots)
        }
        do {
            guard case .status(let answer) = try authority.call(.status(.init())),
                case .roots(let list) = try authority.call(.rootList(.init()))
            else { throw AuthorityClient.surprise }
            (status, roots) = (answer, list.roots)
        } catch {
            return [
                Finding(
                    "authority", .limited, for: "accounts, tokens, mediation", detail: "\(error)",
                    remedy: "run the guised of version \(guiseVersion)")
            ] + candidates(places, roots)
        }
        return [running(status), namespaces(status), state(status)]
            + roots.map { root in
                FileSystemExamination.root(
                    root.path, isUnavailable: status.unavailableRoots.contains(root.path))
            } + candidates(places, roots)
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

import Foundation
import Guise
import GuiseProtocol
import RegistryModel
import RegistryProtocol
import Synchronization
import SystemPackage

/// The process's connections to the registry: one for each identity that its threads act under, and never one for two.
final class RegistryConnections: Sendable {
    static let shared = RegistryConnections()

    private struct Place: Hashable {
        let identity: EffectiveIdentity
        let socket: String
    }

    private struct State {
        var connections: [Place: (connection: RegistryConnection, used: UInt64)] = [:]
        var uses: UInt64 = 0
    }

    /// Those that were not used for longest are let go of; who has keys open keeps them.
    private static let limit = 64
    private let state = Mutex(State())

    /// Begins something on the connection of the calling thread's identity: once more on another one if the registry has
    /// ended since that was made.
    func beginning<Result>(
        _ socket: String?, _ body: (RegistryConnection) throws(RegistryError) -> Result
    ) throws(RegistryError) -> Result {
        let connection = try current(socket)
        do throws(RegistryError) { return try body(connection) } catch {
            guard case .unavailable = error, connection.isOver else { throw error }
            return try body(try current(socket))
        }
    }

    private func current(_ socket: String?) throws(RegistryError) -> RegistryConnection {
        let place: Place
        do throws(GuiseError) {
            place = Place(identity: try .current(), socket: socket ?? Self.usualSocket)
        } catch { throw .accessDenied("\(error)") }
        guard !place.identity.isHidden else {
            throw .accessDenied(
                "the thread acts as a client, and the registry would see the process: start it with guise run, or revert"
                    + " first")
        }
        let known = state.withLock { state in
            state.uses += 1
            guard let known = state.connections[place], !known.connection.isOver else {
                return RegistryConnection?.none
            }
            state.connections[place]?.used = state.uses
            return known.connection
        }
        if let known { return known }
        let made: RegistryConnection
        do throws(GuiseError) {
            // While the thread impersonates, the registry sees the client.
            made = RegistryConnection(try Connection.connect(to: FilePath(place.socket)))
        } catch {
            throw .unavailable(
                "no registry answers at \(place.socket) (\(error)): start registryd, or name its socket")
        }
        return state.withLock { state in
            if let other = state.connections[place], !other.connection.isOver { return other.connection }
            state.connections[place] = (made, state.uses)
            if state.connections.count > Self.limit {
                let oldest = state.connections.min { $0.value.used < $1.value.used }
                if let oldest { state.connections[oldest.key] = nil }
            }
            return made
        }
    }

    /// `GUISE_REGISTRY` says where the registry listens; else it does so in the directory where `guised` runs.
    private static let usualSocket: String = {
        let environment = ProcessInfo.processInfo.environment
        if let socket = environment["GUISE_REGISTRY"] { return socket }
        return (environment["GUISE_RUNTIME_DIR"] ?? ControlPacket.defaultRuntimeDirectory) + "/"
            + RegistryFrames.socketName
    }()
}

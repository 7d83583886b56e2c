package import Guise
package import GuiseProtocol

extension AuthorityClient {
    /// Every account, in the order of their names.
    package func accounts() throws -> [WireAccountRecord] {
        var all: [WireAccountRecord] = []
        var request = WireAccountList()
        while true {
            guard case .accounts(let page) = try call(.accountList(request)) else { throw Self.surprise }
            all += page.accounts
            guard page.more, let last = page.accounts.last else { return all }
            request.after = last.name
        }
    }

    /// Every thread of a process.
    package func threads(of process: UInt32) throws -> [WireThreadView] {
        var all: [WireThreadView] = []
        var request = WireThreads.with { $0.process = process }
        while true {
            guard case .threads(let page) = try call(.threads(request)) else { throw Self.surprise }
            all += page.threads
            guard page.more, let last = page.threads.last else { return all }
            request.after = last.thread
        }
    }

    /// What a process or one of its threads is; process 0: the caller.
    package func identity(ofProcess process: UInt32, thread: UInt32 = 0) throws -> Identity {
        let request = WireTokenOf.with {
            $0.process = process
            $0.thread = thread
        }
        guard case .thread(let view) = try call(.tokenOf(request)) else { throw Self.surprise }
        return Identity(view)
    }

    /// Every capture that a process holds, or the one that a thread of it acts as.
    package func connections(of process: UInt32, thread: UInt32 = 0) throws -> [WireConnectionView] {
        var all: [WireConnectionView] = []
        var request = WireConnections.with {
            $0.process = process
            $0.thread = thread
        }
        while true {
            guard case .connections(let page) = try call(.connections(request)) else { throw Self.surprise }
            all += page.connections
            guard page.more, let last = page.connections.last else { return all }
            request.after = last.capture
        }
    }

    /// Every logon session that the caller may see.
    package func sessions() throws -> [WireSessionView] {
        var all: [WireSessionView] = []
        var request = WireSessions()
        while true {
            guard case .sessions(let page) = try call(.sessions(request)) else { throw Self.surprise }
            all += page.sessions
            guard page.more, let last = page.sessions.last else { return all }
            request.after = last.id
        }
    }

    /// Every named pipe, in the order of their names.
    package func pipes() throws -> [WirePipeView] {
        var all: [WirePipeView] = []
        var request = WirePipeList()
        while true {
            guard case .pipes(let page) = try call(.pipeList(request)) else { throw Self.surprise }
            all += page.pipes
            guard page.more, let last = page.pipes.last else { return all }
            request.after = last.name
        }
    }

    /// Every registered abstract name, in order.
    package func endpoints() throws -> [WireEndpoint] {
        var all: [WireEndpoint] = []
        var request = WireEndpointList()
        while true {
            guard case .endpoints(let page) = try call(.endpointList(request)) else { throw Self.surprise }
            all += page.endpoints
            guard page.more, let last = page.endpoints.last else { return all }
            request.after = last.name
        }
    }

    /// Every issuer, in the order of their names.
    package func issuers() throws -> [WireIssuerRecord] {
        var all: [WireIssuerRecord] = []
        var request = WireIssuerList()
        while true {
            guard case .issuers(let page) = try call(.issuerList(request)) else { throw Self.surprise }
            all += page.issuers
            guard page.more, let last = page.issuers.last else { return all }
            request.after = last.name
        }
    }

    /// Every mapping rule, in the order they were made.
    package func mappings() throws -> [WireMappingRecord] {
        var all: [WireMappingRecord] = []
        var request = WireMappingList()
        while true {
            guard case .mappings(let page) = try call(.mappingList(request)) else { throw Self.surprise }
            all += page.mappings
            guard page.more, let last = page.mappings.last else { return all }
            request.after = last.id
        }
    }

    /// The names of SIDs, where the authority knows one.
    package func names(of sids: [String]) throws -> [String: NamedSID] {
        var found: [String: NamedSID] = [:]
        var rest = sids[...]
        while !rest.isEmpty {
            // No more than the authority answers at once.
            let part = rest.prefix(256)
            rest = rest.dropFirst(256)
            guard case .names(let names) = try call(.lookUp(WireLookUp.with { $0.sids = Array(part) }))
            else { throw Self.surprise }
            for name in names.names { found[name.sid] = NamedSID(name) }
        }
        return found
    }

    /// The SID behind a name of any form.
    package func sid(named name: String) throws -> String {
        guard case .names(let names) = try call(.lookUp(WireLookUp.with { $0.names = [name] })) else {
            throw Self.surprise
        }
        guard let sid = names.names.first?.sid, !sid.isEmpty else {
            throw ToolError("nobody here is called \"\(name)\"")
        }
        return sid
    }

    /// What an answer of the wrong kind means.
    package static var surprise: ToolError {
        ToolError("the authority's answer makes no sense; is it of the same version?")
    }
}

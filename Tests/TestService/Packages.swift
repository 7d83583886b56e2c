#if Kerberos
    import AccessControl
    import CGuise
    import Foundation
    import Guise
    import GuiseKerberos
    import GuiseProtocol
    import Synchronization

    /// Conversations of security packages, and what they came to, by the names that the commands gave them.
    private let exchanges = Mutex<[String: any SecurityExchange]>([:])
    private let contexts = Mutex<[String: SecurityContext]>([:])

    extension Session {
        /// Security packages. A step's outcome is `more TOKEN` or `done TOKEN`; `-` is no token.
        func packages(_ words: [String]) throws -> Outcome? {
            func context() throws -> SecurityContext {
                guard let context = contexts.withLock({ $0[words[1]] }) else {
                    throw GuiseError.notFound("no context \(words[1])")
                }
                return context
            }
            func package(_ name: String) -> any SecurityPackage {
                name == "Negotiate" ? Negotiate() : Kerberos()
            }
            switch words[0] {
            case "context-accept":
                // context-accept KEPT-AS PACKAGE TOKEN
                return try step(words[1], try package(words[2]).accept(), words[3])
            case "accept-many":
                // accept-many COUNT PACKAGE TOKEN: how many conversations are open, and what ended it.
                var kept: [any SecurityExchange] = []
                do {
                    for _ in 0..<Int(words[1])! {
                        let one = try package(words[2]).accept()
                        guard case .more = try one.step([UInt8](Data(base64Encoded: words[3])!)) else {
                            return .value("finished")
                        }
                        kept.append(one)
                    }
                } catch { return .value("\(kept.count) \(Outcome.thrown(error).line)") }
                return .value("\(kept.count)")
            case "accept-burst":
                // accept-burst COUNT PACKAGE TOKEN: what as many clients at once come to.
                let outcomes = Mutex<[String: Int]>([:])
                let bytes = [UInt8](Data(base64Encoded: words[3])!)
                let (count, judge, group) = (Int(words[1])!, package(words[2]), DispatchGroup())
                for _ in 0..<count {
                    group.enter()
                    Thread {
                        let outcome: String
                        do {
                            outcome = "\(try judge.accept().step(bytes))"
                        } catch { outcome = Outcome.thrown(error).line }
                        let word = outcome.split(separator: " ").dropFirst().first.map(String.init) ?? ""
                        outcomes.withLock { $0[word, default: 0] += 1 }
                        group.leave()
                    }.start()
                }
                group.wait()
                return .value(
                    outcomes.withLock { $0 }.map { "\($0.key) \($0.value)" }.sorted().joined(separator: " "))
            case "accept-other":
                // accept-other PACKAGE TOKEN OTHER: goes on with a conversation by another package.
                let client = try AuthorityClient()
                var request = WireSecurityStep()
                request.package = words[1]
                request.token = Data(base64Encoded: words[2])!
                guard case .securityStepped(let first) = try client.call(.securityStep(request)) else {
                    return .value("no step")
                }
                (request.package, request.context) = (words[3], first.context)
                return .value("\(try client.call(.securityStep(request)))")
            case "initiate":
                // initiate KEPT-AS PACKAGE TARGET LEVEL
                let level = ImpersonationLevel(word: words[4])!
                return try step(words[1], try package(words[2]).initiate(to: words[3], level: level), "-")
            case "step":
                // step KEPT-AS TOKEN
                guard let exchange = exchanges.withLock({ $0[words[1]] }) else {
                    throw GuiseError.notFound("no exchange \(words[1])")
                }
                return try step(words[1], exchange, words[2])
            case "transition":
                // transition KEPT-AS PRINCIPAL
                let context = try Kerberos().transition(to: words[2])
                contexts.withLock { $0[words[1]] = context }
                return .value(context.level.word)
            case "context":
                let attributes = try context().attributes
                return .value(
                    "\(attributes.package) \(attributes.client ?? "-") \(attributes.target ?? "-")"
                        + " \(attributes.level.word) \(attributes.flags.contains(.mutual) ? "mutual" : "-")"
                        + " \(attributes.expiry == nil ? "-" : "expires")")
            case "context-token":
                let token = try context().token()
                let groups = token.groups.map { "\($0.principal.sid)" }
                return .value("\(token.user.sid) \(token.unixUser ?? 0) \(groups.joined(separator: ","))")
            case "context-impersonate":
                try context().impersonate(
                    atMost: words.count > 2 ? ImpersonationLevel(word: words[2])! : .delegation)
            case "context-revert": try context().revert()
            case "context-scoped": return try context().impersonating { perform(Array(words[2...])) }
            case "context-task":
                // Reads a file in a task of the client's.
                let (context, path) = (try context(), words[2])
                return .value(
                    try awaited {
                        try await context.impersonating {
                            await Task.yield()
                            return Files.cat(path).line
                        }
                    })
            case "context-close":
                contexts.withLock { $0[words[1]] = nil }
                exchanges.withLock { $0[words[1]] = nil }
            default: return nil
            }
            return .value("")
        }

        private func step(
            _ name: String, _ exchange: any SecurityExchange, _ token: String
        ) throws -> Outcome {
            let bytes = token == "-" ? [] : [UInt8](Data(base64Encoded: token) ?? Data())
            let step = try exchange.step(bytes)
            let reply = step.reply.isEmpty ? "-" : Data(step.reply).base64EncodedString()
            switch step {
            case .more:
                exchanges.withLock { $0[name] = exchange }
                return .value("more \(reply)")
            case .finished(let context, _):
                exchanges.withLock { $0[name] = nil }
                contexts.withLock { $0[name] = context }
                return .value("done \(reply)")
            }
        }
    }
#else
    extension Session {
        func packages(_ words: [String]) throws -> Outcome? { nil }
    }
#endif

import type { ListedRoute } from '../api/openapi.ts'
import type { AnyRoute, HttpRouter } from './serving.ts'

/** A router that serves nothing: it has the routes that were added. */
export class RouteList implements HttpRouter {
  readonly routes: AnyRoute[] = []

  route(route: AnyRoute): void {
    this.routes.push(route)
  }

  upgrade(): void {}

  /** Those that say what they are. */
  get told(): ListedRoute[] {
    return this.routes.flatMap(({ method, pattern, told }) => (told === undefined ? [] : [{ method, pattern, told }]))
  }
}

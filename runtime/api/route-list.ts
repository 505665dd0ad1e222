import type { AnyRoute, HttpRouter } from '../http/serving.ts'
import type { ListedRoute } from './openapi.ts'

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

// NestJS: a module that connects when the application starts and closes when it ends. Services get the store by injection.
// In a project with decorators, `@Injectable()` and `@Inject(MEOW)` replace the provider of OrderService below.
import 'reflect-metadata'
import type { DynamicModule, OnApplicationShutdown } from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import { type ConnectOptions, connect, type Meow } from 'meowmx'
import { openDatabase } from './support/database.ts'

export const MEOW = Symbol('meow')

/** Closes the store: handlers and appends that are under way end first. */
class Closing implements OnApplicationShutdown {
  readonly meow: Meow
  constructor(meow: Meow) {
    this.meow = meow
  }
  async onApplicationShutdown(): Promise<void> {
    await this.meow.close()
    console.log('closed')
  }
}

// biome-ignore lint/complexity/noStaticOnlyClass: Nest wants a class
export class MeowModule {
  static forRoot(options: ConnectOptions): DynamicModule {
    return {
      module: MeowModule,
      global: true,
      providers: [
        {
          provide: MEOW,
          useFactory: async () => {
            const meow = await connect(options)
            await meow.migrate()
            return meow
          },
        },
        { provide: Closing, useFactory: (meow: Meow) => new Closing(meow), inject: [MEOW] },
      ],
      exports: [MEOW],
    }
  }
}

class OrderService {
  readonly meow: Meow
  constructor(meow: Meow) {
    this.meow = meow
  }
  async place(id: string, price: number): Promise<number> {
    const { version } = await this.meow.append(
      { category: 'order', streamId: id },
      { type: 'OrderPlaced', data: { price } },
    )
    return version
  }
}

await using database = await openDatabase()
const appModule: DynamicModule = {
  module: class AppModule {},
  imports: [MeowModule.forRoot(database)],
  providers: [{ provide: OrderService, useFactory: (meow: Meow) => new OrderService(meow), inject: [MEOW] }],
}
const app = await NestFactory.createApplicationContext(appModule, { logger: false })
app.enableShutdownHooks() // SIGTERM ends it like close()
console.log('version', await app.get(OrderService).place('1', 9))
console.log('health', (await app.get<Meow>(MEOW).health()).ok)
await app.close()

// Output:
// version 0
// health true
// closed
